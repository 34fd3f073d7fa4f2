//! What is printed: a line per figure as soon as it is there, and all of them again at the end.

/// What a figure must reach.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Nothing: it is there to be looked at.
    Shown,
}

/// One figure of one row.
pub struct Figure {
    /// The row.
    pub row: String,
    /// What is compared.
    pub metric: &'static str,
    /// What it must reach.
    pub target: Target,
    /// One value per pair of runs.
    pub values: Vec<f64>,
    /// What stands behind it, in words.
    pub detail: String,
}

/// All figures, and the rows that gave none.
pub struct Report {
    lines: Vec<String>,
    below_target: usize,
    broken: usize,
}

/// The middle value; of an even number of them, the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "a median of nothing");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

impl Report {
    /// Nothing yet.
    pub fn new() -> Report {
        let header =
            format!("{:<26} {:<12} {:>8} {:>8}  {:<15} {:<5}", "row", "metric", "target", "median", "min..max", "");
        Report { lines: vec![header], below_target: 0, broken: 0 }
    }

    /// Adds a figure and prints it.
    pub fn add(&mut self, figure: Figure) {
        let middle = median(&figure.values);
        let low = figure.values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = figure.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (target, verdict) = match figure.target {
            Target::AtLeast(bound) => (format!(">= {bound}"), if middle >= bound { "ok" } else { "BELOW" }),
            Target::AtMost(bound) => (format!("<= {bound}"), if middle <= bound { "ok" } else { "ABOVE" }),
            Target::Shown => (String::new(), ""),
        };
        self.below_target += usize::from(matches!(verdict, "BELOW" | "ABOVE"));
        self.push(format!(
            "{:<26} {:<12} {target:>8} {middle:>8.3}  {:<15} {verdict:<5} {}",
            figure.row,
            figure.metric,
            format!("{low:.3}..{high:.3}"),
            figure.detail
        ));
    }

    /// A row that could not run, and why.
    pub fn cannot(&mut self, row: &str, reason: &str) {
        // What is not installed, or not built yet and says so, is not broken.
        let known = ["is installed", "has no shards", "not there yet"];
        self.broken += usize::from(!known.iter().any(|known| reason.contains(known)));
        self.push(format!("{row:<26} not measured: {}", reason.trim_end().replace('\n', "\n    ")));
    }

    /// Steal is worth a line only where there was any.
    pub fn note_steal(&mut self, row: &str, percent: f64) {
        if percent >= 0.5 {
            self.push(format!("{row:<26} the host took {percent:.1}% of this machine's time meanwhile"));
        }
    }

    fn push(&mut self, line: String) {
        println!("{line}");
        self.lines.push(line);
    }

    /// Everything again, together.
    pub fn print(&self) {
        println!("\n{}", self.lines.join("\n"));
        println!("{} figures miss their target, {} rows could not be measured", self.below_target, self.broken);
    }

    /// Did a figure miss its target?
    pub fn is_below_target(&self) -> bool {
        self.below_target > 0
    }

    /// Did a row fail that should have run?
    pub fn is_broken(&self) -> bool {
        self.broken > 0
    }
}
