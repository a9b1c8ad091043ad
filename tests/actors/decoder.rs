//! The Decoder alone: uploads in, pixels or refusals out.

use std::sync::Arc;

use actix::{Addr, AsyncContext as _, Context, Recipient, SyncArbiter};
use beagle::access::caller::Caller;
use beagle::decode::Limits;
use beagle::decode::actor::Decoder;
use beagle::error::ErrorCode;
use beagle::message::{Ask, Decoded, Form, Upload};
use beagle::observe::Point;
use beagle::store::{Callback, Priority, UnixMillis};
use beagle::ticket::{Place, Reply, Ticket};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::sync::oneshot::Receiver;
use tokio::time::timeout;

use crate::GUARD;
use crate::fake::{Act, catalog, picture};
use crate::probe::{Inbox, Probe, Witness, probe};

struct Scene {
    decoder: Addr<Decoder>,
    next: Inbox<Decoded>,
    witness: Arc<Witness>,
}

impl Scene {
    fn start() -> Self {
        let (recipient, next) = probe();
        let (decoder, witness) = decoder(recipient);
        Self {
            decoder,
            next,
            witness,
        }
    }

    async fn decoded(&mut self, bytes: Vec<u8>, ask: Ask) -> Decoded {
        let (upload, _reply) = upload(bytes, ask);
        self.decoder.try_send(upload).unwrap();
        self.next.next().await
    }

    /// The digest that a caller's key is bound to.
    async fn fingerprint(&mut self, bytes: Vec<u8>, ask: Ask) -> String {
        let (upload, _reply) = upload(bytes, ask);
        self.decoder.try_send(upload).unwrap();
        let asked = self.next.next().await.job.idempotency.unwrap();
        assert_eq!(asked.key, "order 1");
        asked.fingerprint
    }
}

/// One Decoder: it takes uploads one after the other.
fn decoder(next: Recipient<Decoded>) -> (Addr<Decoder>, Arc<Witness>) {
    let witness = Arc::new(Witness::default());
    let observer = witness.clone();
    let decoder = SyncArbiter::start(1, move || {
        Decoder::new(Limits::default(), next.clone(), observer.clone())
    });
    (decoder, witness)
}

fn ask() -> Ask {
    Ask {
        caller: Caller::anyone(),
        profile: catalog().default_profile().clone(),
        top: 3,
        priority: Priority::High,
        deadline: UnixMillis(u64::MAX),
        idempotency_key: None,
        keep: false,
        callback: None,
        traceparent: None,
    }
}

fn keyed() -> Ask {
    Ask {
        idempotency_key: Some("order 1".to_owned()),
        ..ask()
    }
}

fn upload(bytes: Vec<u8>, ask: Ask) -> (Upload, Receiver<Reply>) {
    upload_at(bytes, ask, Place::default())
}

fn upload_at(bytes: Vec<u8>, ask: Ask, place: Place) -> (Upload, Receiver<Reply>) {
    let (ticket, reply) = Ticket::open(place, false);
    let bytes = Bytes::from(bytes);
    let form = Form::File;
    let upload = Upload {
        bytes,
        form,
        ask,
        ticket,
    };
    (upload, reply)
}

/// A place that takes the only permit.
fn place(permits: &Arc<Semaphore>) -> Place {
    Place {
        upload: Some(permits.clone().try_acquire_owned().unwrap()),
        ..Place::default()
    }
}

/// Waits until nobody has the only permit.
async fn assert_given_back(permits: &Arc<Semaphore>) {
    let back = timeout(GUARD, permits.acquire()).await;
    drop(back.expect("the place was not given back").unwrap());
}

async fn refusal(reply: Receiver<Reply>) -> ErrorCode {
    match timeout(GUARD, reply).await.expect("no reply").unwrap() {
        Reply::Refused(refusal, None) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[actix::test]
async fn a_good_image_becomes_pixels_and_a_job() {
    let mut scene = Scene::start();
    let (upload, _reply) = upload(picture(9, Act::Panic), ask());
    let id = upload.ticket.id;
    scene.decoder.try_send(upload).unwrap();
    let Decoded { job, keep, ticket } = scene.next.next().await;
    assert_eq!((job.id, ticket.id), (id, id));
    assert_eq!(job.pixels[..], [9, 1, 0].repeat(4));
    assert_eq!((job.profile.as_str(), job.top), ("plain", 3));
    assert_eq!(job.priority, Priority::High);
    assert_eq!(job.deadline, UnixMillis(u64::MAX));
    assert_eq!(job.idempotency, None);
    assert_eq!((job.callback, job.traceparent), (None, None));
    assert!(!keep);
    assert_eq!(scene.witness.jobs_at(Point::Decoded), [id]);
}

#[actix::test]
async fn pixels_that_came_as_such_become_a_job_as_they_are_and_have_to_be_whole() {
    let mut scene = Scene::start();
    let pixels = |bytes: Vec<u8>| {
        let (upload, reply) = upload(bytes, keyed());
        let form = Form::Pixels;
        (Upload { form, ..upload }, reply)
    };
    let (whole, _reply) = pixels([9, 1, 0].repeat(4));
    scene.decoder.try_send(whole).unwrap();
    let job = scene.next.next().await.job;
    assert_eq!(job.pixels[..], [9, 1, 0].repeat(4));
    let as_a_file = scene.fingerprint(picture(9, Act::Panic), keyed()).await;
    assert_ne!(job.idempotency.unwrap().fingerprint, as_a_file);
    let (part, reply) = pixels(vec![9; 11]);
    scene.decoder.try_send(part).unwrap();
    assert_eq!(refusal(reply).await, ErrorCode::BadRequest);
}

#[actix::test]
async fn a_job_is_kept_when_its_caller_says_so_or_gives_it_a_key() {
    let mut scene = Scene::start();
    let kept = Ask {
        keep: true,
        ..ask()
    };
    let image = || picture(1, Act::Answer);
    assert!(scene.decoded(image(), kept).await.keep);
    assert!(scene.decoded(image(), keyed()).await.keep);
}

#[actix::test]
async fn a_job_takes_its_callback_and_its_span_along() {
    let mut scene = Scene::start();
    let callback = Some(Callback {
        url: "https://example.net/".to_owned(),
    });
    let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let asked = Ask {
        callback: callback.clone(),
        traceparent: traceparent.clone(),
        ..ask()
    };
    let job = scene.decoded(picture(1, Act::Answer), asked).await.job;
    assert_eq!((job.callback, job.traceparent), (callback, traceparent));
}

#[actix::test]
async fn a_key_is_bound_to_the_image_and_to_everything_that_was_asked() {
    let mut scene = Scene::start();
    let image = || picture(1, Act::Answer);
    let first = scene.fingerprint(image(), keyed()).await;
    let patient = Ask {
        priority: Priority::Low,
        deadline: UnixMillis::now().after(GUARD),
        ..keyed()
    };
    assert_eq!(scene.fingerprint(image(), patient).await, first);
    let more = Ask { top: 4, ..keyed() };
    let called = Ask {
        callback: Some(Callback {
            url: "https://example.net/".to_owned(),
        }),
        ..keyed()
    };
    let other = Ask {
        profile: catalog().get("other").unwrap().clone(),
        ..keyed()
    };
    for (bytes, ask) in [
        (picture(2, Act::Answer), keyed()),
        (image(), more),
        (image(), other),
        (image(), called),
    ] {
        assert_ne!(scene.fingerprint(bytes, ask).await, first);
    }
}

#[actix::test]
async fn a_bad_image_is_refused_with_its_code_and_the_next_one_is_decoded() {
    let mut scene = Scene::start();
    let mut cut = picture(1, Act::Answer);
    cut.truncate(55);
    for (bytes, code) in [
        (Vec::new(), ErrorCode::EmptyImage),
        (b"a letter".to_vec(), ErrorCode::UnsupportedFormat),
        (cut, ErrorCode::MalformedImage),
    ] {
        let permits = Arc::new(Semaphore::new(1));
        let (upload, reply) = upload_at(bytes, ask(), place(&permits));
        scene.decoder.try_send(upload).unwrap();
        assert_eq!(refusal(reply).await, code);
        assert_given_back(&permits).await;
    }
    let good = scene.decoded(picture(5, Act::Answer), ask()).await;
    assert_eq!(scene.witness.jobs_at(Point::Decoded), [good.job.id]);
}

#[actix::test]
async fn an_image_that_nobody_waits_for_is_not_decoded_and_gives_its_place_back() {
    let mut scene = Scene::start();
    let permits = Arc::new(Semaphore::new(1));
    let (upload, reply) = upload_at(picture(1, Act::Answer), ask(), place(&permits));
    drop(reply);
    scene.decoder.try_send(upload).unwrap();
    let next = scene.decoded(picture(2, Act::Answer), ask()).await;
    assert_eq!(scene.witness.jobs_at(Point::Decoded), [next.job.id]);
    assert_given_back(&permits).await;
}

#[actix::test]
async fn the_place_goes_with_the_image_until_the_next_stage_lets_it_go() {
    let mut scene = Scene::start();
    let permits = Arc::new(Semaphore::new(1));
    let (upload, _reply) = upload_at(picture(1, Act::Answer), ask(), place(&permits));
    scene.decoder.try_send(upload).unwrap();
    let mut decoded = scene.next.next().await;
    assert_eq!(permits.available_permits(), 0);
    drop(decoded.ticket.take_place());
    assert_eq!(permits.available_permits(), 1);
}

#[actix::test]
async fn a_full_next_stage_refuses_what_it_has_no_room_for_and_nobody_hangs() {
    let (probe, mut next) = Probe::<Decoded>::new();
    let mut mailbox = Context::new();
    mailbox.set_mailbox_capacity(1);
    let (decoder, _) = decoder(mailbox.address().recipient());
    let permits = Arc::new(Semaphore::new(1));
    let mut replies = Vec::new();
    for _ in 0..7 {
        let (upload, reply) = upload(picture(1, Act::Answer), ask());
        decoder.try_send(upload).unwrap();
        replies.push(reply);
    }
    let (last, reply) = upload_at(picture(1, Act::Answer), ask(), place(&permits));
    decoder.try_send(last).unwrap();
    assert_eq!(refusal(reply).await, ErrorCode::QueueFull);
    assert_given_back(&permits).await;

    // What fitted is still there when the next stage comes to it.
    let first = replies.remove(0);
    mailbox.run(probe);
    drop(next.next().await);
    let lost = timeout(GUARD, first).await.unwrap().unwrap();
    assert!(matches!(lost, Reply::Refused(refusal, Some(_)) if refusal.code == ErrorCode::Lost));
}

#[actix::test]
async fn an_ended_next_stage_refuses_everything() {
    let mailbox = Context::<Probe<Decoded>>::new();
    let (decoder, _) = decoder(mailbox.address().recipient());
    drop(mailbox);
    let (upload, reply) = upload(picture(1, Act::Answer), ask());
    decoder.try_send(upload).unwrap();
    assert_eq!(refusal(reply).await, ErrorCode::QueueFull);
}
