//! The network between members: it holds, loses, repeats and reorders messages when it is told to.

use ringkeep_shards::command::Entropy;
use ringkeep_shards::group::Message;
use std::collections::BTreeSet;

/// Messages on their way, oldest first.
#[derive(Default)]
pub struct Network {
    messages: Vec<Message>,
    /// Pairs (from, to) between which nothing passes.
    cut: BTreeSet<(u64, u64)>,
    /// Whether messages stay on their way until the test lets them go.
    pub held: bool,
}

impl Network {
    /// Takes messages on; those over a cut link are lost.
    pub fn send(&mut self, messages: Vec<Message>) {
        self.messages.extend(messages.into_iter().filter(|m| !self.cut.contains(&(m.from, m.to))));
    }

    /// Cuts a member off from all others. What is on its way from or to it is lost.
    pub fn isolate(&mut self, node: u64, nodes: u64) {
        for other in 1..=nodes {
            self.cut.insert((node, other));
            self.cut.insert((other, node));
        }
        let cut = &self.cut;
        self.messages.retain(|m| !cut.contains(&(m.from, m.to)));
    }

    /// Cuts one direction of a link.
    pub fn cut(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
    }

    /// Everything passes again.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// The oldest message, if messages move.
    pub fn next(&mut self) -> Option<Message> {
        (!self.held && !self.messages.is_empty()).then(|| self.messages.remove(0))
    }

    /// The oldest message, even if messages are held.
    pub fn take_first(&mut self) -> Option<Message> {
        (!self.messages.is_empty()).then(|| self.messages.remove(0))
    }

    /// Takes out the messages that `which` picks.
    pub fn take(&mut self, which: impl Fn(&Message) -> bool) -> Vec<Message> {
        let (taken, left) = std::mem::take(&mut self.messages).into_iter().partition(which);
        self.messages = left;
        taken
    }

    /// Any message: mostly delivered, sometimes lost, sometimes delivered and sent once more.
    pub fn any(&mut self, random: &mut Entropy) -> Option<Message> {
        if self.messages.is_empty() {
            return None;
        }
        let at = random.next_u64() as usize % self.messages.len();
        match random.next_u64() % 40 {
            0 => {
                self.messages.swap_remove(at);
                None
            }
            1 => Some(self.messages[at].clone()),
            _ => Some(self.messages.remove(at)),
        }
    }
}
