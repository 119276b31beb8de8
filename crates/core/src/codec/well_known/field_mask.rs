use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// Names of fields: `google.protobuf.FieldMask`. In JSON one text, the names in camelCase: `"user.displayName,photo"`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FieldMask {
    /// The names, as the .proto has them.
    #[prost(string, repeated, tag = "1")]
    pub paths: Vec<String>,
}

impl Serialize for FieldMask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        for (i, path) in self.paths.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            let mut after_underscore = false;
            for c in path.chars() {
                match c {
                    '_' => after_underscore = true,
                    c if after_underscore => {
                        text.push(c.to_ascii_uppercase());
                        after_underscore = false;
                    }
                    c => text.push(c),
                }
            }
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for FieldMask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let paths = text.split(',').filter(|path| !path.is_empty());
        Ok(Self {
            paths: paths
                .map(|path| {
                    let mut name = String::with_capacity(path.len() + 4);
                    for c in path.chars() {
                        if c.is_ascii_uppercase() {
                            name.push('_');
                        }
                        name.push(c.to_ascii_lowercase());
                    }
                    name
                })
                .collect(),
        })
    }
}
