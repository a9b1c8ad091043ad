//! Several at once: one works, the others wait and find its result.

use std::thread;

use crate::child::Orders;
use crate::fixture::{Lab, SHARD_2, flip};
use crate::server::{Plan, Server};

#[test]
fn a_second_process_waits_says_so_and_finds_the_cache() {
    let lab = Lab::new();
    let server = Server::start(Plan::Pause(SHARD_2));
    let first = Orders::fetch(&lab).url(&server.url).start();
    server.wait_for_pause();
    let second = Orders::fetch(&lab).url(&server.url).start();
    second.wait_for("another process is fetching the weights");
    server.go_on();
    for child in [first, second] {
        let said = child.finish();
        assert!(said.contains("done "), "{said}");
    }
    server.assert_hits_each(1);
    lab.assert_good_entry();
}

#[test]
fn when_the_first_is_killed_the_one_that_waits_takes_over() {
    let lab = Lab::new();
    let stuck = Server::start(Plan::Pause(SHARD_2));
    let first = Orders::fetch(&lab).url(&stuck.url).start();
    stuck.wait_for_pause();
    let healthy = Server::start(Plan::Healthy);
    let second = Orders::fetch(&lab).url(&healthy.url).start();
    second.wait_for("another process is fetching the weights");
    assert_eq!(lab.left_over().len(), 1, "the first one's folder is alive");
    first.kill();
    let said = second.finish();
    assert!(said.contains("left by a fetch that was killed"), "{said}");
    assert!(said.contains("done "), "{said}");
    healthy.assert_hits_each(1);
    lab.assert_good_entry();
}

#[test]
fn many_threads_over_a_damaged_cache_fetch_it_once() {
    let lab = Lab::filled();
    flip(&lab.entry().join(SHARD_2), 1);
    let server = Server::start(Plan::Healthy);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut fetcher = lab.fetcher();
                fetcher.url.clone_from(&server.url);
                fetcher.fetch().unwrap();
            });
        }
    });
    server.assert_hits_each(1);
    lab.assert_good_entry();
}
