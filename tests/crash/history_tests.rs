//! Made-up histories: the check must find what is wrong with each, and nothing in a good one.

use beagle::store::{JobId, JobState};
use serde_json::{Value, json};

use crate::fake::{self, Act};
use crate::history::{Asked, Job, Patience, Told, Verdict, check};

const MOST: u32 = 4;

fn result(class: u8) -> Value {
    json!([{"label": fake::label(class), "probability": 0.9}])
}

fn asked(number: u16, told: &[Told]) -> Asked {
    Asked {
        number,
        act: Act::Answer,
        keyed: true,
        patience: Patience::Waits,
        told: told.to_vec(),
    }
}

fn done(id: JobId, number: u8) -> Job {
    Job {
        id,
        number: number.into(),
        state: JobState::Done,
        attempts: 1,
        predictions: Some(result(number)),
    }
}

/// The complaint that is expected, and no other.
#[track_caller]
fn complains(asked: &[Asked], jobs: &[Job], of: &str) -> Verdict {
    let verdict = check(asked, jobs, MOST);
    assert!(
        !verdict.wrong.is_empty() && verdict.wrong.iter().all(|wrong| wrong.contains(of)),
        "{verdict:#?}"
    );
    verdict
}

#[test]
fn a_good_history_is_counted_and_nothing_is_wrong() {
    let [a, b, c, d] = [(); 4].map(|()| JobId::new());
    let unkeyed = Asked {
        keyed: false,
        ..asked(3, &[Told::Broken])
    };
    let panics = Asked {
        act: Act::Panic,
        ..asked(2, &[Told::Dead(b)])
    };
    let hasty = Asked {
        keyed: false,
        patience: Patience::Hasty,
        ..asked(4, &[Told::TimedOut(d)])
    };
    let never_accepted = Asked {
        number: 5,
        told: vec![Told::TimedOut(JobId::new())],
        ..hasty.clone()
    };
    let history = [
        asked(1, &[Told::Broken, Told::Answered(a, result(1))]),
        panics,
        unkeyed,
        hasty,
        never_accepted,
    ];
    let end = |id, number, state| Job {
        state,
        predictions: None,
        ..done(id, number)
    };
    let jobs = [
        done(a, 1),
        end(b, 2, JobState::Dead),
        end(c, 3, JobState::Expired),
        end(d, 4, JobState::Cancelled),
    ];
    let counted = Verdict {
        accepted: 4,
        answered: 1,
        dead: 1,
        expired: 1,
        cancelled: 1,
        ..Verdict::default()
    };
    assert_eq!(check(&history, &jobs, MOST), counted);
}

#[test]
fn a_job_that_is_gone_is_lost() {
    let verdict = complains(&[asked(1, &[Told::Accepted(JobId::new())])], &[], "is gone");
    assert_eq!((verdict.accepted, verdict.lost), (1, 1));
}

#[test]
fn a_job_that_never_ends_is_lost() {
    let id = JobId::new();
    let queued = Job {
        state: JobState::Queued,
        predictions: None,
        ..done(id, 1)
    };
    let verdict = complains(&[asked(1, &[Told::Accepted(id)])], &[queued], "never ended");
    assert_eq!((verdict.accepted, verdict.lost), (1, 1));
}

#[test]
fn two_different_results_for_one_key_are_double() {
    let id = JobId::new();
    let other = json!([{"label": fake::label(1), "probability": 0.8}]);
    let told = [Told::Answered(id, other), Told::Answered(id, result(1))];
    let verdict = complains(&[asked(1, &told)], &[done(id, 1)], "done twice");
    assert_eq!((verdict.lost, verdict.double), (0, 1));
}

#[test]
fn two_jobs_for_one_request_are_double() {
    let (first, second) = (JobId::new(), JobId::new());
    let told = [
        Told::Accepted(first),
        Told::Broken,
        Told::Answered(second, result(1)),
    ];
    let jobs = [done(first, 1), done(second, 1)];
    assert_eq!(complains(&[asked(1, &told)], &jobs, "done twice").double, 1);
}

#[test]
fn attempts_beyond_the_bound_are_found() {
    let id = JobId::new();
    let often = Job {
        attempts: MOST + 1,
        ..done(id, 1)
    };
    let told = [Told::Answered(id, result(1))];
    complains(&[asked(1, &told)], &[often], "more than 4 attempts");
}

#[test]
fn another_pictures_result_is_found() {
    let id = JobId::new();
    let swapped = Job {
        predictions: Some(result(2)),
        ..done(id, 1)
    };
    complains(
        &[asked(1, &[Told::Accepted(id)])],
        &[swapped],
        "another picture's",
    );
}

#[test]
fn an_end_that_does_not_fit_is_found() {
    let id = JobId::new();
    for state in [JobState::Dead, JobState::Expired, JobState::Cancelled] {
        let ended = Job {
            state,
            predictions: None,
            ..done(id, 1)
        };
        complains(&[asked(1, &[Told::Accepted(id)])], &[ended], "a wrong end");
    }
}

#[test]
fn a_keyed_request_that_nobody_answered_is_found() {
    complains(&[asked(1, &[Told::Broken])], &[], "not told");
    complains(
        &[asked(1, &[Told::Refused(String::new())])],
        &[],
        "not told",
    );
}

#[test]
fn a_job_that_nobody_asked_for_is_found() {
    complains(&[], &[done(JobId::new(), 1)], "nobody asked");
}
