//! The channels that are subscribed and published to.

/// What names each channel in a request: the word of its subscribers, and that of its publishers.
pub(crate) struct Channels(Vec<(String, String)>);

impl Channels {
    /// The one channel that the requests name themselves.
    pub(crate) fn one() -> Self {
        Self(vec![(String::new(), String::new())])
    }

    /// One channel for each line of a file.
    ///
    /// # Panics
    ///
    /// The file cannot be read, is empty, or has a line without two words.
    pub(crate) fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(path).expect("a file of channels");
        let words = |line: &str| {
            let (subscribe, publish) = line.split_once(' ').expect("two words in each line");
            (subscribe.to_owned(), publish.to_owned())
        };
        let channels: Vec<_> = text.lines().map(words).collect();
        assert!(!channels.is_empty(), "{path} has no channel");
        Self(channels)
    }

    /// The request of the subscribers of each channel.
    pub(crate) fn subscribe_requests(&self, template: &str) -> impl Iterator<Item = String> {
        self.0.iter().map(|(word, _)| template.replace("{channel}", word))
    }

    /// The head of the requests of the publishers to each channel.
    pub(crate) fn publish_heads(&self, template: &str) -> Vec<String> {
        self.0.iter().map(|(_, word)| template.replace("{channel}", word)).collect()
    }

    /// The number of deliveries when subscribers and events go to the channels in turn.
    pub(crate) fn deliveries(&self, events: u64, subscribers: u64) -> u64 {
        let channels = self.0.len() as u64;
        let share = |total: u64, channel: u64| total / channels + u64::from(channel < total % channels);
        (0..channels).map(|channel| share(events, channel) * share(subscribers, channel)).sum()
    }
}
