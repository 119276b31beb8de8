//! K01: what is written is what is read.

use bytes::Bytes;

use super::stage::told;
use super::{Sample, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { codec:
    K01 what_is_written_is_read_as_it_was "nothing at all, numbers at their limits, text, bytes, lists and values in values are read as they were written, minus zero where declared; of a codec of bytes alone, all bytes";
}

async fn what_is_written_is_read_as_it_was(stage: Stage) -> Result<(), Failed> {
    let fields = stage.codec().fields();
    let samples = data().into_iter().chain(if fields.is_some() { with_fields() } else { Vec::new() });
    for sample in samples {
        let body = stage.write(&sample)?;
        let read = stage.read(&body)??;
        let declared =
            if fields.is_some_and(|fields| !fields.minus_zero()) { plus_zero(&sample) } else { sample.clone() };
        ensure!(same(&read, &declared), "{sample:?} came back as {read:?}, from {}", told(&body));
        ensure!(stage.write(&sample)? == body, "{sample:?} is written in two ways");
    }
    Ok(())
}

/// Equal, with the sign of a zero, and where what is no number equals itself.
fn same(a: &Sample, b: &Sample) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

/// The sample with the signs of zeros gone.
fn plus_zero(sample: &Sample) -> Sample {
    let (narrow, float) = (sample.narrow + 0.0, sample.float + 0.0);
    Sample { narrow, float, ..sample.clone() }
}

fn data() -> Vec<Sample> {
    let all: Vec<u8> = (0..=255).collect();
    let bodies: [Bytes; 5] = [
        Bytes::new(),
        Bytes::from_static(&[0]),
        Bytes::from_static(b"text \xff\xfe that is none"),
        all.clone().into(),
        all.repeat(256).into(),
    ];
    bodies.into_iter().map(Sample::of_data).collect()
}

fn with_fields() -> Vec<Sample> {
    let plain = Sample::default();
    let numbers = |small, wide, positive, huge| Sample { small, wide, positive, huge, ..Sample::default() };
    let mut samples = vec![
        Sample { truth: true, ..plain.clone() },
        numbers(i32::MIN, i64::MIN, u32::MIN, u64::MIN),
        numbers(i32::MAX, i64::MAX, u32::MAX, u64::MAX),
        // The first integers that a float of 64 bits cannot hold.
        numbers(-1, -(1 << 53) - 1, 1, (1 << 53) + 1),
        Sample { list: vec![i64::MIN, -1, 0, 1, i64::MAX], ..plain.clone() },
        Sample { inner: Some(Box::new(plain.clone())), ..plain.clone() },
        Sample { many: vec![plain.clone(), Sample::full(), plain.clone()], ..plain.clone() },
        Sample::full(),
        Sample::full().within(10),
    ];
    let floats = [
        f64::MIN,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        -0.0,
        0.1,
        1.0 / 3.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    samples.extend(floats.map(|float| Sample { float, ..plain.clone() }));
    let narrow = [f32::MIN, f32::MAX, 1e-45, -0.0, 0.1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    samples.extend(narrow.map(|narrow| Sample { narrow, ..plain.clone() }));
    let texts =
        ["\0\u{1}\u{7f}\t\r\n\"\\/", "ü 世界 🦀 e\u{301} \u{202e}", "\u{10ffff}\u{feff}\u{2028}", " null ", "-5"];
    samples.extend(texts.map(|text| Sample { text: text.into(), ..plain.clone() }));
    samples.push(Sample { text: "long ".repeat(20_000), ..plain });
    samples
}
