//! ONNX files that are no models, or keep their weights in a way that is not read.

use std::fs;
use std::path::PathBuf;

use model_import::onnx::{self, OnnxError, node};
use onnx_ir::{AttributeProto, AttributeType, Message as _, ModelProto, TensorProto};
use tempfile::TempDir;

use crate::graphs::{LAST, PHOTO, assert_says, classifier, good, graph};

/// `TensorProto.DataType` by ONNX' own numbers.
const FLOAT16: i32 = 10;
const BFLOAT16: i32 = 16;
/// Field 14 of `TensorProto`, `data_location`, as protobuf writes it: `EXTERNAL`, 1.
const EXTERNAL: [u8; 2] = [14 << 3, 1];

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[track_caller]
fn refused(model: &ModelProto) -> OnnxError {
    let (_folder, path) = file(&model.write_to_bytes().unwrap());
    onnx::read(&path).unwrap_err()
}

fn wide_as(kind: i32) -> TensorProto {
    let mut tensor = TensorProto::new();
    tensor.name = "halved".to_owned();
    tensor.data_type = kind;
    tensor.dims = vec![2];
    tensor.raw_data = vec![0; 4].into();
    tensor
}

#[test]
fn a_model_is_read_as_it_was_written() {
    let (_folder, path) = file(&good().write_to_bytes().unwrap());
    assert_eq!(onnx::read(&path).unwrap(), good());
}

#[test]
fn what_is_no_onnx_file_is_refused_by_name() {
    for bytes in [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        b"<!DOCTYPE html><html></html>",
        b"oid sha256:00\nsize 102\n",
        b"",
    ] {
        let (_folder, path) = file(bytes);
        let error = onnx::read(&path).unwrap_err();
        assert_says(
            &error,
            &["net.onnx is not an ONNX model", "export it again"],
        );
    }
    let (folder, _) = file(b"");
    let error = onnx::read(&folder.path().join("other.onnx")).unwrap_err();
    assert_says(&error, &["other.onnx"]);
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let whole = good().write_to_bytes().unwrap();
    assert!(whole.len() > 300);
    for length in 0..whole.len() {
        let (_folder, path) = file(&whole[..length]);
        let error = onnx::read(&path).unwrap_err();
        assert!(
            matches!(error, OnnxError::NotOnnx { .. }),
            "{length} bytes: {error:?}"
        );
        assert_says(&error, &["net.onnx", "check that the download is whole"]);
    }
}

#[test]
fn weights_in_another_file_are_refused_by_name() {
    let mut model = good();
    let kernel = &mut graph(&mut model).initializer[0];
    kernel.raw_data = Vec::new().into();
    kernel.merge_from_bytes(&EXTERNAL).unwrap();
    assert_says(
        &refused(&model),
        &[
            "net.onnx: tensor 'kernel' keeps its data in another file",
            "single .onnx file",
        ],
    );
}

#[test]
fn weights_of_half_precision_are_refused_by_name() {
    for (kind, name) in [(FLOAT16, "float16"), (BFLOAT16, "bfloat16")] {
        let mut model = good();
        graph(&mut model).initializer.push(wide_as(kind));
        let what = format!("net.onnx: tensor 'halved' is {name}");
        assert_says(
            &refused(&model),
            &[&what, "export the model again in float32"],
        );
    }
}

#[test]
fn a_constant_of_half_precision_is_found_too() {
    let mut value = AttributeProto::new();
    value.name = "value".to_owned();
    value.type_ = AttributeType::TENSOR.into();
    value.t = Some(wide_as(FLOAT16)).into();
    let mut constant = node("Constant", "constant", &[], "c");
    constant.attribute.push(value);
    let relu = node("Relu", "relu", &[PHOTO], LAST);
    let error = refused(&classifier(vec![constant, relu]));
    assert_says(&error, &["'halved' is float16"]);
}
