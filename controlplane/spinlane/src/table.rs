//! Plain tables for terminals of 80 columns.

/// Columns a table may fill.
pub const WIDTH_MAX: usize = 80;

/// Rows of cells under a head; the first column is flush left, `right` ones flush right.
#[derive(Debug, Clone)]
pub struct Table {
    head: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; a name that starts with `>` makes its column flush right.
    pub fn new(columns: &[&'static str]) -> Self {
        Self {
            head: columns
                .iter()
                .map(|name| name.trim_start_matches('>'))
                .collect(),
            right: columns.iter().map(|name| name.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; missing cells are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, each line at most [`WIDTH_MAX`] wide; what does not fit is cut at the right.
    pub fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                widest.max(self.head[column].chars().count())
            })
            .collect();
        let head: Vec<String> = self.head.iter().map(|name| (*name).to_owned()).collect();
        std::iter::once(&head)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells: Vec<String> = widths
            .iter()
            .enumerate()
            .map(|(column, &width)| {
                let cell = row.get(column).map_or("", String::as_str);
                if self.right[column] {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        let line = cells.join("  ");
        let line = line.trim_end();
        if line.chars().count() <= WIDTH_MAX {
            return line.to_owned();
        }
        // What is cut says so: half a number is another number.
        let kept: String = line.chars().take(WIDTH_MAX - 1).collect();
        format!("{kept}…")
    }
}

/// A duration for people: `812 ns`, `15.5 µs`, `4.2 ms`, `1.30 s`.
pub fn nanos(ns: u64) -> String {
    let scaled = |unit: u64| ns as f64 / unit as f64;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", scaled(1_000)),
        1_000_000..1_000_000_000 => format!("{:.1} ms", scaled(1_000_000)),
        _ => format!("{:.2} s", scaled(1_000_000_000)),
    }
}

/// A count with its thousands apart: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_stay_within_the_width() {
        let mut table = Table::new(&["what", ">n"]);
        table.row(["a".into(), "10".into()]);
        table.row(["long".into(), "7".into()]);
        assert_eq!(table.render(), "what   n\na     10\nlong   7");
        assert!(!table.render().contains('…'));
        table.row(["x".repeat(200), "1".into()]);
        assert!(table.render().ends_with("x…"), "what is cut says so");
        assert!(
            table
                .render()
                .lines()
                .all(|line| line.chars().count() <= WIDTH_MAX)
        );
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            [nanos(812), nanos(15_540), nanos(4_200_000)],
            ["812 ns", "15.5 µs", "4.2 ms"]
        );
        assert_eq!(
            [count(7), count(1_000), count(1_234_567)],
            ["7", "1,000", "1,234,567"]
        );
    }
}
