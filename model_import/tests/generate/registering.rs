//! Putting a model into a tree: what is written, and that an error writes nothing.

use std::fs;

use fused::Plan;
use model_import::onnx::{node, value, with_ints};
use model_import::profile::{Channels, Filter, Fit, Normalisation, Output};
use model_import::register::{Imported, ProfileFile, Registration, register};
use model_import::registry::{Layout, Manifest};
use onnx_ir::ModelProto;

use crate::graphs::{LAST, PHOTO, assert_says, classifier, good, graph};
use crate::tree::Tree;

pub(crate) const LABELS: &str = "ant\nbee\ncat\ndog\n";

fn profile() -> ProfileFile {
    ProfileFile {
        fit: Fit::Stretch,
        filter: Filter::Bilinear,
        normalisation: Normalisation {
            channels: Channels::Rgb,
            scale: 1.0 / 255.0,
            mean: [0.5; 3],
            std: [0.25; 3],
        },
        output: Output::Logits,
    }
}

pub(crate) fn registration<'a>(
    name: &'a str,
    model: ModelProto,
    labels: &'a str,
) -> Registration<'a> {
    Registration {
        name,
        model,
        labels: (name, Some(labels)),
        profile: Some(profile()),
    }
}

#[test]
fn a_model_is_written_with_its_manifest_labels_and_record() {
    let tree = Tree::copy();
    let before = tree.files();
    let given = registration("small", good(), LABELS);
    let Imported { manifest, plan, .. } = register(&tree.source(), &tree.home(), given).unwrap();
    assert_eq!((manifest.width, manifest.height), (8, 8));
    assert_eq!((manifest.classes, manifest.layout), (4, Layout::Nchw));
    let record = format!("records/{}.bpk", manifest.record_sha256);
    assert!(tree.home().join(record).is_file());

    let after = tree.files();
    let mut changed: Vec<&str> = after
        .iter()
        .filter(|(path, text)| before.get(*path) != Some(text))
        .map(|(path, _)| path.rsplit('/').next().unwrap())
        .collect();
    changed.sort_unstable();
    let expected = [
        "mod.rs",
        "small.plan.toml",
        "small.rs",
        "small.toml",
        "small.txt",
    ];
    assert_eq!(changed, expected);
    assert_eq!(after.len(), before.len() + 4);
    let toml = fs::read_to_string(tree.generated("small.toml")).unwrap();
    assert_eq!(toml::from_str::<Manifest>(&toml).unwrap(), manifest);
    let index = fs::read_to_string(tree.generated("mod.rs")).unwrap();
    assert!(index.contains("generated!(resnet50 resnet50_article small);"));
    assert!(index.contains("load::<small::Model>"));
    assert!(index.contains("plan: Some(include_str!(\"small.plan.toml\"))"));
    let toml = fs::read_to_string(tree.generated("small.plan.toml")).unwrap();
    assert_eq!(toml::from_str::<Plan>(&toml).unwrap(), plan.unwrap());
}

/// What stood in the way is told, and a plan of the name's earlier model is gone.
#[test]
fn a_model_that_cannot_be_fused_is_registered_without_a_plan() {
    let tree = Tree::copy();
    let given = registration("small", good(), LABELS);
    register(&tree.source(), &tree.home(), given).unwrap();
    let tanh = classifier(vec![node("Tanh", "bend", &[PHOTO], LAST)]);
    let given = registration("small", tanh, LABELS);
    let Imported { manifest, plan, .. } = register(&tree.source(), &tree.home(), given).unwrap();
    assert_says(&plan.unwrap_err(), &["Tanh 'bend' has no fused form"]);
    assert!(tree.generated("small.rs").is_file());
    assert!(!tree.generated("small.plan.toml").exists());
    let index = fs::read_to_string(tree.generated("mod.rs")).unwrap();
    assert!(index.contains("manifest: include_str!(\"small.toml\"),\n        plan: None,"));
    let record = format!("records/{}.bpk", manifest.record_sha256);
    assert!(tree.home().join(record).is_file());
}

#[test]
fn registering_again_replaces_and_the_number_of_outputs_may_come_from_the_labels() {
    let tree = Tree::copy();
    let given = registration("small", good(), LABELS);
    register(&tree.source(), &tree.home(), given).unwrap();
    let first = tree.files();
    let mut open = good();
    graph(&mut open).output[0] = value("scores", &[None, None]);
    let given = registration("small", open, LABELS);
    let manifest = register(&tree.source(), &tree.home(), given)
        .unwrap()
        .manifest;
    assert_eq!(manifest.classes, 4);
    assert_eq!(tree.files(), first);
}

#[test]
fn the_order_of_axes_is_read_from_the_graph() {
    let turn = with_ints(
        node("Transpose", "turn", &[PHOTO], LAST),
        "perm",
        &[0, 3, 1, 2],
    );
    let mut model = classifier(vec![turn]);
    graph(&mut model).input[0] = value(PHOTO, &[None, Some(8), Some(6), Some(3)]);
    let tree = Tree::copy();
    let given = registration("turned", model, LABELS);
    let manifest = register(&tree.source(), &tree.home(), given)
        .unwrap()
        .manifest;
    assert_eq!(manifest.layout, Layout::Nhwc);
    assert_eq!((manifest.width, manifest.height), (6, 8));
}

/// Fails, says this, and leaves the tree as it was.
#[track_caller]
fn assert_refused(tree: &Tree, given: Registration, parts: &[&str]) {
    let before = tree.files();
    let error = register(&tree.source(), &tree.home(), given).unwrap_err();
    assert_says(&error, parts);
    assert!(tree.files() == before, "the tree was changed: {error}");
}

#[test]
fn a_name_that_is_no_module_is_refused() {
    let tree = Tree::copy();
    for name in ["Small", "../small", "mod", "small-net", ""] {
        let what = format!("'{name}' cannot be a model's name");
        let given = registration(name, good(), LABELS);
        assert_refused(&tree, given, &[&what, "use lower-case letters"]);
    }
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let tree = Tree::copy();
    for (labels, what) in [
        ("ant\nbee\n", "2 labels for a network of 4 classes"),
        ("ant\nbee\n\ndog\n", "label 3 is empty"),
        ("", "0 labels for a network of 4 classes"),
    ] {
        let given = registration("small", good(), labels);
        assert_refused(&tree, given, &[what, "give one line a class"]);
    }
    let mut given = registration("small", good(), LABELS);
    given.labels = ("nowhere", None);
    assert_refused(&tree, given, &["nowhere.txt"]);
}

#[test]
fn a_folder_that_is_no_checkout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("elsewhere");
    fs::create_dir(&source).unwrap();
    let given = registration("small", good(), LABELS);
    let error = register(&source, &folder.path().join("home"), given).unwrap_err();
    assert_says(
        &error,
        &["elsewhere is not a checkout of Beagle", "--source"],
    );
    assert_eq!(fs::read_dir(&source).unwrap().count(), 0);
    assert!(!folder.path().join("home").exists());
}

#[test]
fn a_model_that_cannot_be_translated_is_refused() {
    let tree = Tree::copy();
    let model = classifier(vec![node("Sharpen", "edges", &[PHOTO], LAST)]);
    let given = registration("small", model, LABELS);
    assert_refused(&tree, given, &["small.onnx", "Sharpen (node 'edges')"]);
    let left = fs::read_dir(tree.home().join("records")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn a_graph_that_is_no_image_classifier_is_refused_with_the_reason() {
    let tree = Tree::copy();
    let spoilt = |spoil: fn(&mut onnx_ir::GraphProto)| {
        let mut model = good();
        spoil(graph(&mut model));
        registration("small", model, LABELS)
    };
    let second = spoilt(|graph| graph.input.push(value("mask", &[None, Some(1)])));
    assert_refused(&tree, second, &["2 inputs and 1 outputs"]);
    let grey = spoilt(|graph| {
        graph.input[0] = value(PHOTO, &[None, Some(1), Some(8), Some(8)]);
    });
    assert_refused(&tree, grey, &["input 'photo'", "N x 3 x height x width"]);
    let flat = spoilt(|graph| graph.output[0] = value("scores", &[Some(4)]));
    assert_refused(&tree, flat, &["output 'scores'", "not N x classes"]);
    let bytes = spoilt(|graph| {
        let photo = graph.input[0].type_.mut_or_insert_default();
        photo.mut_tensor_type().elem_type = 2;
    });
    assert_refused(&tree, bytes, &["not both float32"]);
}

/// A neighbour that was edited by hand is found before anything is written.
#[test]
fn a_malformed_manifest_of_another_model_is_named() {
    let tree = Tree::copy();
    fs::write(tree.generated("edited.toml"), "name = ").unwrap();
    let given = registration("small", good(), LABELS);
    assert_refused(&tree, given, &["edited.toml"]);
}
