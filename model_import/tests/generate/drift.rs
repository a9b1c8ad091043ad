//! The committed networks are what the published weights give, to the byte.

use std::collections::BTreeMap;
use std::fs;

use fused::{Activation, Convolution, Operation, Plan};
use model_import::fetch::Fetcher;
use model_import::provision::{PUBLISHED, regenerate};
use model_import::register::Imported;

use crate::tree::{GENERATED, Tree, checkout, files};
use crate::weights;

#[test]
fn regenerating_the_published_models_gives_what_is_committed() {
    let Some(weights) = weights::published() else {
        return;
    };
    let tree = Tree::copy();
    // What is not written again would be missed.
    let mut kept: BTreeMap<_, _> = tree.files();
    for (name, _) in PUBLISHED {
        for ending in ["rs", "toml", "plan.toml"] {
            fs::remove_file(tree.generated(&format!("{name}.{ending}"))).unwrap();
            kept.remove(&format!("{GENERATED}/{name}.{ending}"))
                .unwrap();
        }
    }
    fs::write(tree.generated("mod.rs"), "").unwrap();
    kept.remove(&format!("{GENERATED}/mod.rs")).unwrap();
    assert_eq!(tree.files().len(), kept.len() + 1);

    let mut fetcher = Fetcher::new(tree.home());
    fetcher.from = Some(weights.path().to_owned());
    let imported = regenerate(&tree.source(), &fetcher).unwrap();
    assert_eq!(imported.len(), PUBLISHED.len());

    let (committed, made) = (files(checkout()), tree.files());
    assert!(committed.keys().eq(made.keys()), "{:?}", made.keys());
    for (path, text) in &committed {
        assert_same(path, text, &made[path]);
    }
    for Imported { manifest, plan, .. } in imported {
        let record = format!("records/{}.bpk", manifest.record_sha256);
        assert!(tree.home().join(record).is_file());
        assert_all_fused(&plan.unwrap());
    }
}

/// ResNet50 is 53 convolutions, two pools, a linear layer and a softmax: every sum (one a block)
/// and every `Relu` (the first, and three a block) is in the convolution before it.
#[track_caller]
fn assert_all_fused(plan: &Plan) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for layer in &plan.layers {
        *kinds.entry(layer.operation.name()).or_default() += 1;
    }
    let expected = [
        ("average-pool", 1),
        ("convolution", 54),
        ("max-pool", 1),
        ("softmax", 1),
    ];
    assert_eq!(kinds, BTreeMap::from(expected));
    let count = |wanted: fn(&Convolution) -> bool| {
        let convolutions = plan.layers.iter().filter(|layer| {
            matches!(&layer.operation, Operation::Convolution(convolution) if wanted(convolution))
        });
        convolutions.count()
    };
    assert_eq!(count(|each| each.activation == Activation::Relu), 49);
    assert_eq!(count(|each| each.residual.is_some()), 16);
    assert_eq!(count(|each| each.bias.is_none()), 0);
}

/// The first line that differs tells more than two files of 30 KB.
#[track_caller]
fn assert_same(path: &str, committed: &str, made: &str) {
    let lines = || committed.lines().zip(made.lines()).enumerate();
    if let Some((at, (committed, made))) = lines().find(|(_, (left, right))| left != right) {
        panic!(
            "{path}:{} is committed as\n  {committed}\nbut would be made as\n  {made}\n\
             run `beagle model regenerate` and look at what changes",
            at + 1
        );
    }
    assert!(committed == made, "{path} has another length");
}
