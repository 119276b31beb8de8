use prost_types::{FileDescriptorProto, SourceCodeInfo};

/// Makes the comments of a file safe as Rust docs: what is indented or fenced must not become a doc test.
pub(crate) fn tame(file: &mut FileDescriptorProto) {
    let Some(SourceCodeInfo { location }) = &mut file.source_code_info else { return };
    for location in location {
        // Blocks that stand apart describe nothing.
        location.leading_detached_comments.clear();
        for comment in [&mut location.leading_comments, &mut location.trailing_comments].into_iter().flatten() {
            *comment = tame_text(comment);
        }
    }
}

fn tame_text(comment: &str) -> String {
    let mut in_fence = false;
    let lines: Vec<String> = comment
        .lines()
        .map(|line| {
            let text = line.trim();
            if text.starts_with("```") {
                in_fence = !in_fence;
                return if in_fence { " ```text".to_owned() } else { " ```".to_owned() };
            }
            // Four spaces would begin a code block.
            if in_fence || text.is_empty() { line.to_owned() } else { format!(" {text}") }
        })
        .collect();
    let mut text = lines.join("\n");
    if in_fence {
        text.push_str("\n ```");
    }
    text
}

/// Returns the lines of a comment, given where its item stands in the file.
pub(crate) fn of<'a>(file: &'a FileDescriptorProto, path: &[i32]) -> Vec<&'a str> {
    file.source_code_info
        .iter()
        .flat_map(|info| &info.location)
        .filter(|location| location.path == path)
        .flat_map(|location| [&location.leading_comments, &location.trailing_comments])
        .flatten()
        .flat_map(|comment| comment.lines())
        .collect()
}

/// Returns where an item stands: `shop.proto:12:3`.
pub(crate) fn place(file: &FileDescriptorProto, path: &[i32]) -> String {
    let mut locations = file.source_code_info.iter().flat_map(|info| &info.location);
    match locations.find(|location| location.path == path).map(|location| location.span.as_slice()) {
        Some([line, column, ..]) => format!("{}:{}:{}", file.name(), line + 1, column + 1),
        _ => file.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_in_a_comment_becomes_no_doc_test() {
        let tamed = tame_text(" Says:\n     let x;\n ```\n     hello\n ```\n");
        assert_eq!(tamed, " Says:\n let x;\n ```text\n     hello\n ```");
    }
}
