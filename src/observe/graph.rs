//! LATENCY GRAPH's drawing: a column per sample, its height by the logarithm, its age below, written downwards.

use crate::observe::latency::Event;

const ROWS: usize = 4;
const COLUMNS_MAX: usize = 80;
/// From low to high within one row.
const STEPS: [u8; 3] = *b"_o#";

/// Draws an event's samples, as seen at a second of Unix time.
pub(super) fn draw(event: &Event, now_s: u64) -> String {
    let values = || event.spikes.iter().map(|spike| spike.duration_ms);
    let (high, low) = (values().max().unwrap_or(0), values().min().unwrap_or(0));
    let longest = event.longest_ms;
    let mut text = format!("{} - high {high} ms, low {low} ms (all time high {longest} ms)\n", event.name);
    text.push_str(&"-".repeat(COLUMNS_MAX));
    text.push('\n');
    let columns: Vec<(usize, String)> = event
        .spikes
        .iter()
        .map(|spike| (height(spike.duration_ms - low, high - low), age(now_s.saturating_sub(spike.unix_s))))
        .collect();
    for (part, columns) in columns.chunks(COLUMNS_MAX).enumerate() {
        if part > 0 {
            text.push('\n');
        }
        for row in (0..ROWS).rev() {
            let line = columns.iter().map(|&(step, _)| match step.checked_sub(row * STEPS.len()) {
                None => ' ',
                Some(within) => STEPS.get(within).map_or('|', |&byte| char::from(byte)),
            });
            text.extend(line);
            text.push('\n');
        }
        text.push_str(&" ".repeat(columns.len()));
        text.push('\n');
        let longest = columns.iter().map(|(_, age)| age.len()).max().unwrap_or(0);
        for place in 0..longest {
            text.extend(columns.iter().map(|(_, age)| age.as_bytes().get(place).map_or(' ', |&byte| char::from(byte))));
            text.push('\n');
        }
    }
    text
}

/// A step of the drawing for a value of so much above the lowest, of a range.
fn height(above: u64, range: u64) -> usize {
    let steps = ROWS * STEPS.len();
    if range == 0 {
        return 0;
    }
    let part = (above as f64).ln_1p() / (range as f64).ln_1p();
    ((part * steps as f64) as usize).min(steps - 1)
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::latency::LatencyMonitor;

    #[test]
    fn columns_stand_over_their_ages() {
        let mut monitor = LatencyMonitor::default();
        monitor.note("x", 1_000, 10);
        monitor.note("x", 100_000, 1_000);
        let text = draw(&monitor.events()[0], 101);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines, [" #", " |", " |", "_|", "  ", "11", "ms"]);
    }
}
