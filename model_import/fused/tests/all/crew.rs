//! Engines that share threads, memory and packed weights.

use crate::naive::{self, engine_of, network, pixels, ranges, ways};
use fused::{Crew, Engine, Options, Precision};

const IMAGE: usize = 33 * 29 * 3;

/// Whatever the other left in their memory, each gives what it gives alone.
#[test]
fn engines_of_one_crew_do_not_disturb_each_other() {
    let (plan, weights) = network();
    let pixels = pixels(7);
    let ranges = ranges(&plan, &weights, &pixels);
    let ways: Vec<Options> = [Precision::F32, Precision::Bf16, Precision::Int8]
        .into_iter()
        .flat_map(ways)
        .collect();
    for threads in [1, 3] {
        let crew = Crew::new(threads);
        let shared =
            |way| Engine::with(&crew, &plan, &weights, &naive::PLAIN, Some(&ranges), way).unwrap();
        let mut engines: Vec<Engine> = ways.iter().map(shared).collect();
        let mut spoiler = shared(&Options::new(Precision::F32, 1));
        for images in [7, 1, 4] {
            for (way, engine) in ways.iter().zip(&mut engines) {
                let (mut alone, mut together) = (Vec::new(), Vec::new());
                let nothing = vec![f32::NAN; images * IMAGE];
                spoiler.run_floats(&nothing, &mut together).unwrap();
                let pixels = &pixels[..images * IMAGE];
                engine.run_levels(pixels, &mut together).unwrap();
                let mut own = engine_of(&plan, &weights, &ranges, way, threads);
                own.run_levels(pixels, &mut alone).unwrap();
                assert_eq!(together, alone, "{way:?} {threads} threads {images} images");
            }
        }
    }
}

/// An engine whose threads may be sent elsewhere and dropped in any order.
#[test]
fn a_crew_lives_as_long_as_its_last_engine() {
    let (plan, weights) = network();
    let crew = Crew::new(2);
    let options = Options::new(Precision::F32, 9);
    let build = || Engine::with(&crew, &plan, &weights, &naive::PLAIN, None, &options).unwrap();
    let (first, mut second) = (build(), build());
    drop((first, crew));
    let scores = std::thread::spawn(move || {
        let mut scores = Vec::new();
        second.run_levels(&pixels(3), &mut scores).unwrap();
        scores
    });
    assert_eq!(scores.join().unwrap().len(), 3 * 10);
}
