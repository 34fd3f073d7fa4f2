//! Events of one core that took long.

use std::collections::VecDeque;

/// Samples that are kept of one event.
const SAMPLES_MAX: usize = 160;

/// The longest that an event took within one second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spike {
    /// The second, in Unix time.
    pub unix_s: u64,
    /// How long, in milliseconds.
    pub duration_ms: u64,
}

/// What is known of one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Event {
    pub(super) name: &'static str,
    /// Oldest first.
    pub(super) spikes: VecDeque<Spike>,
    /// The longest ever, in milliseconds.
    pub(super) longest_ms: u64,
}

/// One core's events.
#[derive(Default)]
pub struct LatencyMonitor {
    events: Vec<Event>,
}

impl LatencyMonitor {
    /// Notes that an event took so long; the caller has compared it with `latency-monitor-threshold`.
    pub fn note(&mut self, event: &'static str, unix_ms: u64, duration_ms: u64) {
        let spike = Spike { unix_s: unix_ms / 1000, duration_ms };
        let place = self.events.iter().position(|known| known.name == event).unwrap_or_else(|| {
            self.events.push(Event { name: event, spikes: VecDeque::new(), longest_ms: 0 });
            self.events.len() - 1
        });
        self.events[place].add(spike);
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.events.clone()
    }

    /// Forgets these events, or all of them if none is named. The names of those that there were.
    pub(super) fn reset(&mut self, names: &[Vec<u8>]) -> Vec<&'static str> {
        let named = |event: &Event| {
            names.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case(event.name.as_bytes()))
        };
        let (forgotten, kept) = std::mem::take(&mut self.events).into_iter().partition(named);
        self.events = kept;
        Vec::into_iter(forgotten).map(|event| event.name).collect()
    }
}

impl Event {
    fn add(&mut self, spike: Spike) {
        self.longest_ms = self.longest_ms.max(spike.duration_ms);
        match self.spikes.back_mut() {
            Some(last) if last.unix_s == spike.unix_s => last.duration_ms = last.duration_ms.max(spike.duration_ms),
            _ => self.spikes.push_back(spike),
        }
        if self.spikes.len() > SAMPLES_MAX {
            self.spikes.pop_front();
        }
    }
}

/// The events of several cores as one's.
pub(super) fn merge(cores: Vec<Vec<Event>>) -> Vec<Event> {
    let mut merged: Vec<Event> = Vec::new();
    for event in cores.into_iter().flatten() {
        let Some(known) = merged.iter_mut().find(|known| known.name == event.name) else {
            merged.push(event);
            continue;
        };
        let longest_ms = known.longest_ms.max(event.longest_ms);
        let mut spikes: Vec<Spike> = known.spikes.drain(..).chain(event.spikes).collect();
        spikes.sort_by_key(|spike| spike.unix_s);
        spikes.into_iter().for_each(|spike| known.add(spike));
        known.longest_ms = longest_ms;
    }
    merged.sort_by_key(|event| event.name);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_a_second_and_no_more_than_160() {
        let mut monitor = LatencyMonitor::default();
        for second in 0..200 {
            monitor.note("command", second * 1000, 5);
            monitor.note("command", second * 1000 + 500, second);
        }
        let event = &monitor.events()[0];
        assert_eq!((event.spikes.len(), event.longest_ms), (160, 199));
        assert_eq!(event.spikes[0], Spike { unix_s: 40, duration_ms: 40 });
        let merged = merge(vec![monitor.events(), monitor.events()]);
        assert_eq!(merged, monitor.events(), "the same seconds are one sample each");
        assert_eq!(monitor.reset(&[b"other".to_vec()]), [] as [&str; 0]);
        assert_eq!(monitor.reset(&[]), ["command"]);
    }
}
