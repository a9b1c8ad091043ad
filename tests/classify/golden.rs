//! The article's own photos and the answers it printed in 2018.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};

use serde::Deserialize;

use crate::{answers, assert_close, root};

#[derive(Deserialize)]
struct Golden {
    article_printed: BTreeMap<String, Vec<(String, f64)>>,
}

#[test]
fn the_articles_photos_get_the_articles_answers() {
    let folder = root().join("../shared/golden");
    let Ok(text) = fs::read_to_string(folder.join("golden.json")) else {
        let text = format!("SKIPPED: {} is not there", folder.display());
        return writeln!(io::stderr(), "\n{text}").expect("stderr can be written");
    };
    let golden: Golden = serde_json::from_str(&text).expect("golden.json is as described");
    assert_eq!(golden.article_printed.len(), 2);
    for (name, printed) in golden.article_printed {
        let found = answers("article", &[folder.join(&name)]);
        assert_close(&name, &found[0], &printed, 1e-4);
    }
}
