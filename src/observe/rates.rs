//! How fast something grows, from samples that are taken now and then.

/// Samples that are kept, as in Redis.
const SAMPLES: usize = 16;
/// Older samples say nothing about now, in microseconds.
const AGE_US_MAX: u64 = 3_000_000;

/// What one core's counters were at some moment.
#[derive(Clone, Copy, Default, Debug)]
struct Sample {
    at_us: u64,
    counts: [u64; 3],
}

/// The growth of a core's commands, bytes received and bytes sent.
#[derive(Clone, Default, Debug)]
pub struct Rates {
    samples: [Sample; SAMPLES],
    next: usize,
}

impl Rates {
    /// Takes a sample.
    pub fn sample(&mut self, at_us: u64, counts: [u64; 3]) {
        self.samples[self.next % SAMPLES] = Sample { at_us, counts };
        self.next += 1;
    }

    /// Growth per second of each, up to now.
    pub fn per_second(&self, now_us: u64, counts: [u64; 3]) -> [f64; 3] {
        let taken = self.samples.iter().filter(|sample| sample.at_us > 0 && sample.at_us < now_us);
        let recent = taken.filter(|sample| now_us - sample.at_us <= AGE_US_MAX);
        let Some(oldest) = recent.min_by_key(|sample| sample.at_us) else { return [0.0; 3] };
        let seconds = (now_us - oldest.at_us) as f64 / 1e6;
        std::array::from_fn(|at| counts[at].saturating_sub(oldest.counts[at]) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_over_the_samples_there_are() {
        let mut rates = Rates::default();
        assert_eq!(rates.per_second(5, [9; 3]), [0.0; 3]);
        for tenth in 1..=20 {
            rates.sample(tenth * 100_000, [tenth * 10, tenth, 0]);
        }
        assert_eq!(rates.per_second(2_100_000, [210, 21, 0]), [100.0, 10.0, 0.0]);
        assert_eq!(rates.per_second(9_000_000, [210, 21, 0]), [0.0; 3], "long ago");
        assert_eq!(rates.per_second(2_100_000, [0; 3]), [0.0; 3], "counted from zero again");
    }
}
