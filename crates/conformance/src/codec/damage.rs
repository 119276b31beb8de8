//! K04 to K06: bodies that are cut, made up, or meant to harm.

use bytes::Bytes;
use micro_core::Kind;

use super::stage::told;
use super::{Sample, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;
use crate::seed::seed;

rules! { codec:
    K04 a_body_that_is_cut_is_a_decode_error [Fields] "a body whose value is cut at any byte is a Decode error; at the end of a field it may be read as what is before; never a panic";
    K05 any_bytes_are_read_or_refused [Allocated] "thousands of random bodies, and of good ones with random damage, are read or refused as Decode, with no panic and no memory out of proportion";
    K06 depth_and_announced_sizes_are_bounded [Fields, Allocated] "64 values in each other are read, 100,000 refused, or in an unknown field passed over; a size that is announced and not there is refused before memory is taken for it";
}

/// So much memory may a body of [`LONGEST`] bytes take, with the error that refuses it. An empty value in a list takes a
/// few bytes of the body and some hundred of memory.
const MEMORY: u64 = 1 << 20;

/// The longest of the bodies that are made up.
const LONGEST: usize = 1024;

async fn a_body_that_is_cut_is_a_decode_error(stage: Stage) -> Result<(), Failed> {
    // All of it lies in one field, so that no cut falls on the end of one.
    let body = stage.write(&Sample::full().within(1))?;
    let whole = stage.read(&body)??;
    ensure!(whole == Sample::full().within(1), "uncut it is read as {whole:?}");
    for length in 1..body.len() {
        stage.refuses(&body.slice(..length))?;
    }
    let nothing = stage.read(&Bytes::new())?;
    match nothing {
        Ok(read) => ensure!(read == Sample::default(), "an empty body is read as {read:?}"),
        Err(error) => ensure!(error.kind() == Kind::Decode, "an empty body is {:?}: {error}", error.kind()),
    }
    let body = stage.write(&Sample::full())?;
    for length in 0..body.len() {
        let cut = body.slice(..length);
        match stage.read(&cut)? {
            Ok(read) => ensure!(read != Sample::full(), "cut at {length} of {} all of it was read", body.len()),
            Err(error) => ensure!(error.kind() == Kind::Decode, "cut at {length} it is {:?}: {error}", error.kind()),
        }
    }
    Ok(())
}

async fn any_bytes_are_read_or_refused(stage: Stage) -> Result<(), Failed> {
    const TIMES: usize = 10_000;
    let mut good = vec![stage.write(&Sample::of_data("some bytes"))?];
    if stage.codec().fields().is_some() {
        good.push(stage.write(&Sample::full())?);
        good.push(stage.write(&Sample::full().within(3))?);
    }
    let seed = seed()?;
    let mut random = fastrand::Rng::with_seed(seed);
    for time in 0..TIMES {
        let body = Bytes::from(if time % 4 == 0 { noise(&mut random) } else { damaged(&mut random, &good) });
        let with_seed = |what: String| {
            Failed::new(format!("{what}; body {time} of MICRO_CONFORMANCE_SEED={seed}: {}", told(&body)))
        };
        match stage.read_counted(&body).map_err(|failed| with_seed(failed.to_string()))? {
            (_, allocated) if allocated > MEMORY => return Err(with_seed(format!("it took {allocated} bytes"))),
            (Err(error), _) if error.kind() != Kind::Decode => {
                return Err(with_seed(format!("it is {:?}, not Decode: {error}", error.kind())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn noise(random: &mut fastrand::Rng) -> Vec<u8> {
    let length = random.usize(..=LONGEST);
    (0..length).map(|_| random.u8(..)).collect()
}

/// A good body with a few things wrong.
fn damaged(random: &mut fastrand::Rng, good: &[Bytes]) -> Vec<u8> {
    let mut body = good[random.usize(..good.len())].to_vec();
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(..=body.len());
        let until = random.usize(at..=body.len().min(at + 16));
        match random.u8(..6) {
            0 if at < body.len() => body[at] ^= 1 << random.u8(..8),
            1 if at < body.len() => body[at] = random.u8(..),
            2 => drop(body.drain(at..until)),
            3 => body.insert(at, random.u8(..)),
            4 => {
                let part = body[at..until].to_vec();
                let to = random.usize(..=body.len());
                body.splice(to..to, part);
            }
            _ => body.truncate(at),
        }
    }
    body.truncate(LONGEST);
    body
}

async fn depth_and_announced_sizes_are_bounded(stage: Stage) -> Result<(), Failed> {
    const READ: usize = 64;
    const REFUSED: usize = 100_000;
    let fields = stage.fields()?;
    let deep = Sample::full().within(READ - 2);
    let read = stage.read(&stage.write(&deep)?)??;
    ensure!(read == deep, "{READ} values in each other are read as others");
    let bodies = fields.deep(READ);
    ensure!(!bodies.is_empty(), "the fixture has no deep body");
    for body in bodies.into_iter().chain(fields.deep_unknown(READ)) {
        if let Err(error) = stage.read(&body)? {
            return Err(Failed::new(format!("{READ} values in each other are refused: {error}: {}", told(&body))));
        }
    }
    fields.deep(REFUSED).iter().try_for_each(|body| stage.refuses(body))?;
    for body in fields.deep_unknown(REFUSED) {
        // Passing over needs no stack.
        if let Err(error) = stage.read(&body)? {
            ensure!(error.kind() == Kind::Decode, "an unknown field, {REFUSED} deep, is {:?}: {error}", error.kind());
        }
    }
    for size in [i32::MAX.unsigned_abs(), u32::MAX] {
        let bodies = fields.announcing(size);
        ensure!(!bodies.is_empty(), "the fixture has no body that announces");
        for body in bodies {
            ensure!(body.len() <= LONGEST, "the fixture's body has what it announces: {} bytes", body.len());
            stage.refuses(&body)?;
            let (_, allocated) = stage.read_counted(&body)?;
            ensure!(allocated <= MEMORY, "{allocated} bytes were taken for {size} announced: {}", told(&body));
        }
    }
    Ok(())
}
