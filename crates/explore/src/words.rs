//! Who touches which word, and which words are shared.

use crate::{Agent, Agents, Touch};

/// What is known of one word.
#[derive(Clone, Copy, Default, Debug)]
struct Entry {
    readers: Agents,
    writers: Agents,
    /// In force in this round.
    shared: bool,
}

impl Entry {
    /// Two agents touch the word, and one of them writes.
    fn contended(self) -> bool {
        self.writers != 0 && (self.readers | self.writers).count_ones() >= 2
    }
}

/// What is known of the words that agents touch, and what is being learnt.
///
/// A word is *shared* when two agents touch it and one of them writes. Which
/// words count as shared is frozen for a round of the search; what a round
/// observes takes effect in the next.
#[derive(Clone, Debug, Default)]
pub struct Words {
    entries: Vec<Entry>,
    /// Every word counts as shared.
    all: bool,
    /// Nothing is learnt.
    fixed: bool,
    /// Agents whose whole footprint matters (see [`crate::Model::recurrent`]).
    recurrent: Agents,
    /// Words that turned out to be shared in this round.
    fresh: Vec<u32>,
    /// A recurrent agent touched a shared word in a way not known before.
    widened: bool,
    /// The shared words touched since the current step began.
    noted: Vec<Touch>,
}

impl Words {
    /// No word is shared, as far as is known.
    #[must_use]
    pub fn new() -> Self {
        Words::default()
    }

    /// Every word counts as shared.
    #[must_use]
    pub fn all() -> Self {
        Words { all: true, ..Words::default() }
    }

    /// Exactly these words are shared, whatever is observed: for replays.
    #[must_use]
    pub fn fixed(shared: &[u32]) -> Self {
        let mut words = Words { fixed: true, ..Words::default() };
        for &word in shared {
            words.grow(word);
            words.entries[word as usize].shared = true;
        }
        words
    }

    /// These words are shared; what else is, is to be learnt.
    pub(crate) fn known(shared: &[u32]) -> Self {
        Words { fixed: false, ..Words::fixed(shared) }
    }

    /// Whether an access to `word` is a scheduling point in this round.
    #[inline]
    #[must_use]
    pub fn is_shared(&self, word: u32) -> bool {
        self.all || self.entries.get(word as usize).is_some_and(|e| e.shared)
    }

    /// Records that `agent` touches `word`.
    #[inline]
    pub fn touch(&mut self, agent: Agent, word: u32, write: bool) {
        debug_assert!(agent < 64, "agents are numbered 0 to 63");
        if let Some(entry) = self.entries.get(word as usize) {
            let known = if write { entry.writers } else { entry.readers };
            if known & (1 << agent) != 0 && !entry.shared && !self.all {
                return;
            }
        }
        self.record(agent, word, write);
    }

    /// The words that count as shared; all that were touched where every word does.
    #[must_use]
    pub fn shared(&self) -> Vec<u32> {
        let shared = |e: &Entry| e.shared || (self.all && e.readers | e.writers != 0);
        let words = self.entries.iter().enumerate();
        words.filter(|(_, e)| shared(e)).map(|(word, _)| word as u32).collect()
    }

    /// Forgets the touches noted so far: a step begins.
    #[inline]
    pub(crate) fn begin_step(&mut self) {
        self.noted.clear();
    }

    /// The shared words touched since the step began.
    #[inline]
    pub(crate) fn noted(&self) -> &[Touch] {
        &self.noted
    }

    /// Whether every word counts as shared.
    pub(crate) fn is_all(&self) -> bool {
        self.all
    }

    /// Agents whose whole footprint matters, to which `agents` are added.
    pub(crate) fn add_recurrent(&mut self, agents: Agents) {
        self.widened |= agents & !self.recurrent != 0;
        self.recurrent |= agents;
    }

    pub(crate) fn recurrent(&self) -> Agents {
        self.recurrent
    }

    /// What was observed takes effect: a round begins.
    pub(crate) fn freeze(&mut self) {
        for word in self.fresh.drain(..) {
            self.entries[word as usize].shared = true;
        }
        self.widened = false;
        self.noted.clear();
    }

    /// Whether words turned out to be shared in this round.
    #[inline]
    pub(crate) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Whether a recurrent agent's footprint on shared words grew in this round.
    #[inline]
    pub(crate) fn has_widened(&self) -> bool {
        self.widened
    }

    /// The recurrent agents that read and that write `word`, as observed.
    pub(crate) fn recurrent_on(&self, word: u32) -> (Agents, Agents) {
        let entry = self.entries[word as usize];
        (entry.readers & self.recurrent, entry.writers & self.recurrent)
    }

    /// The memory in use.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.noted.capacity() * size_of::<Touch>()
    }

    #[cold]
    fn grow(&mut self, word: u32) {
        if self.entries.len() <= word as usize {
            self.entries.resize(word as usize + 1, Entry::default());
        }
    }

    /// [`Words::touch`] of a shared word, or one with news.
    fn record(&mut self, agent: Agent, word: u32, write: bool) {
        if self.entries.len() <= word as usize {
            self.grow(word);
        }
        let entry = &mut self.entries[word as usize];
        let shared = entry.shared || self.all;
        if shared {
            self.noted.push(Touch { word, write });
        }
        let known = if write { &mut entry.writers } else { &mut entry.readers };
        if self.fixed || *known & (1 << agent) != 0 {
            return;
        }
        let contended = entry.contended();
        let known = if write { &mut entry.writers } else { &mut entry.readers };
        *known |= 1 << agent;
        if shared {
            self.widened |= self.recurrent & (1 << agent) != 0;
        } else if !contended && entry.contended() {
            self.fresh.push(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn two_readers_share_nothing() {
        let mut words = Words::new();
        words.touch(0, 5, false);
        words.touch(1, 5, false);
        words.freeze();
        assert!(!words.is_shared(5));
        assert!(words.shared().is_empty());
    }

    #[test]
    fn a_writer_and_a_reader_share_from_the_next_round_on() {
        let mut words = Words::new();
        words.touch(0, 5, true);
        words.touch(0, 5, false);
        assert!(!words.has_fresh());
        words.touch(1, 5, false);
        assert!(words.has_fresh());
        assert!(!words.is_shared(5) && words.noted().is_empty());
        words.freeze();
        assert!(!words.has_fresh());
        assert_eq!(words.shared(), [5]);
        words.touch(0, 5, true);
        assert_eq!(words.noted().len(), 1);
    }

    #[test]
    fn fixed_words_learn_nothing() {
        let mut words = Words::fixed(&[2]);
        words.touch(0, 7, true);
        words.touch(1, 7, true);
        words.freeze();
        assert_eq!(words.shared(), [2]);
        assert!(!words.is_shared(7));
    }

    #[test]
    fn every_word_may_count_as_shared() {
        let mut words = Words::all();
        assert!(words.is_shared(1_000));
        words.touch(0, 3, false);
        assert_eq!(words.shared(), [3]);
    }
}
