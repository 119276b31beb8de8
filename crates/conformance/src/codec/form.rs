//! K02 and K03: what the two sides may differ in, and what names a body's form.

use bytes::Bytes;
use micro_core::Kind;

use super::stage::told;
use super::{Sample, Stage, Unknown};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { codec:
    K02 unknown_fields_go_as_declared [Fields] "a field that only a newer program knows is ignored, kept or refused by its name, as the codec declares, and the known fields are read as they are";
    K03 the_content_type_is_exact "what is written bears the codec's content type; a body is read under each of its names in any case, and under no name that is only like one";
}

async fn unknown_fields_go_as_declared(stage: Stage) -> Result<(), Failed> {
    const VALUE: &str = "of a newer program";
    let fields = stage.fields()?;
    for sample in [Sample::default(), Sample::full()] {
        let (body, name) = fields.newer(&sample, VALUE)?;
        let is_there = |body: &Bytes| body.windows(VALUE.len()).any(|part| part == VALUE.as_bytes());
        ensure!(is_there(&body), "the newer body does not hold {VALUE:?}: {}", told(&body));
        let read = stage.read(&body)?;
        if fields.unknown() == Unknown::Refused {
            stage.refuses(&body)?;
            let text = read.map(|_| String::new()).unwrap_or_else(|error| error.to_string());
            ensure!(text.contains(name), "the error does not name the field {name}: {text}");
            continue;
        }
        let read = read?;
        ensure!(read == sample, "with an unknown field {sample:?} was read as {read:?}");
        let passed = fields.pass_on(body)?;
        match fields.unknown() {
            Unknown::Kept => ensure!(is_there(&passed), "the unknown field is not kept: {}", told(&passed)),
            _ => ensure!(!is_there(&passed), "the unknown field is not ignored: {}", told(&passed)),
        }
        if fields.unknown() == Unknown::Kept {
            let again = fields.pass_on(passed.clone())?;
            ensure!(is_there(&again), "what was kept once is not kept twice: {}", told(&again));
        }
        let read = stage.read(&passed)??;
        ensure!(read == sample, "passed on with an unknown field, {sample:?} became {read:?}");
    }
    Ok(())
}

async fn the_content_type_is_exact(stage: Stage) -> Result<(), Failed> {
    let (codec, declared) = (stage.codec(), stage.content_type());
    ensure!(!declared.is_empty(), "the codec declares no content type");
    let sample = Sample::of_data("body");
    let written = codec.encode(&sample)?;
    ensure!(written.content_type == declared, "it bears {:?}, not {declared:?}", written.content_type);
    let names = codec.content_types();
    for name in names {
        for name in [(*name).to_owned(), name.to_uppercase()] {
            match codec.decode(&name, written.body.clone()) {
                Ok(read) => ensure!(read == sample, "under {name:?} {sample:?} is read as {read:?}"),
                Err(error) => return Err(Failed::new(format!("it is not read under {name:?}: {error}"))),
            }
        }
    }
    let like = names.iter().flat_map(|name| {
        let shorter = name.get(..name.len() - 1).unwrap_or_default().to_owned();
        let bare = name.rsplit('/').next().unwrap_or_default().to_owned();
        [shorter, bare, format!("{name}x"), format!(" {name}"), format!("{name}\0"), format!("text/{name}")]
    });
    let none = ["", "/", "application/x-nobody", "text/plain", "*/*"].map(str::to_owned);
    for name in like.chain(none).filter(|like| !names.contains(&like.as_str())) {
        match codec.decode(&name, written.body.clone()) {
            Err(error) if error.kind() == Kind::UnsupportedContentType => {}
            Err(error) => {
                let kind = error.kind();
                return Err(Failed::new(format!("{name:?} is {kind:?}, not UnsupportedContentType: {error}")));
            }
            Ok(_) => return Err(Failed::new(format!("it is read under {name:?}, which is none of {names:?}"))),
        }
    }
    Ok(())
}
