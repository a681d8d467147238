//! The report for people, in 80 columns.

use super::report::Report;
use super::rows::{Ratio, StageLine};
use crate::head;
use crate::host::Seats;
use crate::report::micros;
use crate::summary::{Figures, span};
use crate::target;
use core::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)?;
        let Seats {
            client_core,
            venue_core,
            is_fifo,
            ..
        } = self.head.seats;
        let fifo = if is_fifo {
            "SCHED_FIFO"
        } else {
            "no SCHED_FIFO"
        };
        writeln!(
            f,
            "client on core {client_core}, venue on core {venue_core}, {fifo}; {} rounds of {} s",
            self.rounds, self.seconds
        )?;
        let mut rate = 0;
        for row in &self.rows {
            if row.rate != rate {
                rate = row.rate;
                let head = format!("{rate} ticks/s, us");
                writeln!(
                    f,
                    "\n{head:<29}{:>7}{:>7}{:>7}{:>7}{:>8}{:>7}{:>8}",
                    "p50", "p90", "p99", "p99.9", "max", "clean", "hiccups"
                )?;
            }
            let windows = row.windows.0 + row.windows.1;
            let share = 100 * row.windows.0 / windows.max(1);
            let hiccups = row.hiccups.count * 1_000_000_000 / row.hiccups.looked_ns.max(1);
            let clean = row.clean.map_or_else(|| "-".repeat(5), |_| String::new());
            let name: String = row.client.chars().take(29).collect();
            write!(f, "{name:<29}")?;
            figures_row(f, row.clean.as_ref(), &clean)?;
            writeln!(f, "{share:>6}%{hiccups:>6}/s")?;
            write!(f, "{:<29}", "  all windows")?;
            figures_row(f, row.all.as_ref(), "-")?;
            let load = format!("venue {:.0}%", 100.0 * row.venue_load);
            writeln!(f, "{load:>15}")?;
            if row.unanswered + row.strays > 0 {
                writeln!(
                    f,
                    "  {} of {} ticks unanswered, {} strays",
                    row.unanswered, row.asked, row.strays
                )?;
            }
        }
        self.fmt_ratios(f)?;
        self.fmt_stages(f)?;
        target::fmt_table(f, &self.targets)?;
        head::fmt_notes(f, &self.notes)?;
        write!(
            f,
            "\nclean: windows of 20 ms without preemption of client or venue. Times are from\n\
             the scheduled send. Intervals are 95 %. Method: bench/METHOD.md"
        )
    }
}

fn figures_row(f: &mut fmt::Formatter<'_>, of: Option<&Figures>, none: &str) -> fmt::Result {
    let Some(it) = of else {
        return write!(f, "{none:>7}{none:>7}{none:>7}{none:>7}{none:>8}");
    };
    let [p50, p90, p99, p999] = [it.p50, it.p90, it.p99, it.p999].map(|one| micros(one.value));
    write!(f, "{p50:>7}{p90:>7}{p99:>7}{p999:>7}{:>8}", micros(it.max))
}

impl Report {
    fn fmt_ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = "times as long, clean windows (gated) and all";
        writeln!(f, "\n{head:<46}{:>16}{:>16}", "p50", "p99")?;
        for ratio in &self.ratios {
            if (ratio.quantile, ratio.set) != ("p50", "all") {
                continue;
            }
            let found = |set: &str, quantile: &str| {
                let is_it = |other: &&Ratio| {
                    (other.quantile, other.set) == (quantile, set)
                        && (&other.over, &other.under, other.rate)
                            == (&ratio.over, &ratio.under, ratio.rate)
                };
                let found = self.ratios.iter().find(is_it);
                found.map_or(String::new(), |ratio| span(&ratio.estimate))
            };
            let short = |name: &str| name.replace("tokio-tungstenite", "tungstenite");
            let under = short(&ratio.under).replace("floor: TCP, ", "floor, ");
            let under = under.strip_prefix("veth: ").unwrap_or(&under);
            let who = format!("{} / {under}", short(&ratio.over));
            let who: String = who.chars().take(39).collect();
            for (what, set) in [
                (format!("{:>6} {who}", ratio.rate), "clean"),
                ("         all windows".to_owned(), "all"),
            ] {
                let [p50, p99] = ["p50", "p99"].map(|quantile| found(set, quantile));
                writeln!(f, "{what:<46}{p50:>16}{p99:>16}")?;
            }
        }
        Ok(())
    }

    fn fmt_stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stages.is_empty() {
            return Ok(());
        }
        let mut whose = "";
        for line in &self.stages {
            let StageLine {
                client,
                rate,
                stage,
                count,
                p50,
                p99,
                mean,
            } = line;
            if client != whose {
                whose = client;
                writeln!(
                    f,
                    "\n{whose:<29}{:>10}{:>10}{:>10}{:>12}",
                    "p50, ns", "p99", "mean", "count"
                )?;
            }
            writeln!(
                f,
                "{rate:>6} {stage:<22}{p50:>10}{p99:>10}{mean:>10}{count:>12}"
            )?;
        }
        Ok(())
    }
}
