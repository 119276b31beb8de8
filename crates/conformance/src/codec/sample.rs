use bytes::Bytes;

/// What the suite writes and reads: a field of every sort. A codec brings it into a form of its own and back.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "each field's name is all there is to it")]
pub struct Sample {
    pub truth: bool,
    pub small: i32,
    pub wide: i64,
    pub positive: u32,
    pub huge: u64,
    pub narrow: f32,
    pub float: f64,
    pub text: String,
    pub data: Bytes,
    pub list: Vec<i64>,
    pub inner: Option<Box<Sample>>,
    pub many: Vec<Sample>,
}

impl Sample {
    /// Creates one with nothing but bytes: what a codec without fields can carry.
    #[must_use]
    pub fn of_data(data: impl Into<Bytes>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// Creates one with a value in every field.
    #[must_use]
    pub fn full() -> Self {
        let leaf = Self { text: "leaf".into(), wide: -7, ..Self::default() };
        Self {
            truth: true,
            small: -12,
            wide: 1 << 40,
            positive: 34,
            huge: 1 << 60,
            narrow: 0.5,
            float: -0.25,
            text: "Grüße, 世界".into(),
            data: Bytes::from_static(&[0, 255, 1, 128]),
            list: vec![1, -1, 0],
            inner: Some(Box::new(leaf.clone())),
            many: vec![leaf, Self::default()],
        }
    }

    /// Puts it into another, so many times.
    #[must_use]
    pub fn within(self, levels: usize) -> Self {
        (0..levels).fold(self, |inner, _| Self { inner: Some(Box::new(inner)), ..Self::default() })
    }

    /// Tells whether there is nothing but bytes in it.
    #[must_use]
    pub fn is_data(&self) -> bool {
        *self == Self::of_data(self.data.clone())
    }
}
