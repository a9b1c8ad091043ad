//! The models of this build. Written by `beagle model import`; do not edit.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes,
    reason = "burn-onnx's code is as it is"
)]

use crate::network::{generated, load};
use crate::registry::Registered;

generated!(resnet50 resnet50_article);

pub(crate) static MODELS: &[Registered] = &[
    Registered {
        manifest: include_str!("resnet50.toml"),
        plan: Some(include_str!("resnet50.plan.toml")),
        ranges: None,
        labels: include_str!("../../../assets/labels/imagenet.txt"),
        load: load::<resnet50::Model>,
    },
    Registered {
        manifest: include_str!("resnet50_article.toml"),
        plan: Some(include_str!("resnet50_article.plan.toml")),
        ranges: None,
        labels: include_str!("../../../assets/labels/imagenet.txt"),
        load: load::<resnet50_article::Model>,
    },
];
