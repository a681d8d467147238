//! The live picture on a terminal.

use crate::names::trim;
use crate::table::{count, nanos};
use crate::view::latency::Latency;
use crate::view::orders::Orders;
use crate::view::status::Status;
use crate::view::{money, positions};
use crossterm::event::{self, Event, KeyCode, KeyModifiers};
use dp_shm::Region;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};
use std::time::Duration;

/// The alternate screen; dropping it gives the terminal back.
pub struct Screen {
    terminal: DefaultTerminal,
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

impl Screen {
    /// Takes the terminal. Errors: it cannot be had.
    pub fn open() -> anyhow::Result<Self> {
        Ok(Self {
            terminal: ratatui::try_init()?,
        })
    }

    /// Draws how the node stands.
    pub fn draw(
        &mut self,
        region: &Region,
        elapsed: Duration,
        left: Duration,
    ) -> anyhow::Result<()> {
        let picture = Picture::read(region, elapsed, left);
        self.terminal.draw(|frame| picture.draw(frame))?;
        Ok(())
    }

    /// Whether somebody pressed q, Escape or Ctrl-C.
    pub fn wants_out() -> anyhow::Result<bool> {
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()? {
                let is_ctrl_c =
                    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if is_ctrl_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Everything on the screen at one moment.
struct Picture {
    status: Status,
    latency: Latency,
    orders: Orders,
    positions: Vec<[String; 5]>,
    elapsed: Duration,
    left: Duration,
}

impl Picture {
    fn read(region: &Region, elapsed: Duration, left: Duration) -> Self {
        let positions = positions::lines(region).map(|(it, state)| {
            [
                it.venue.name().to_owned(),
                it.symbol.as_str().to_owned(),
                trim(&it.qty_decimal(state.qty).to_string()),
                money(positions::pnl(&state)),
                state.fills.to_string(),
            ]
        });
        Self {
            status: Status::read(region),
            latency: Latency::read(region),
            orders: Orders::read(region, false, 8),
            positions: positions.collect(),
            elapsed,
            left,
        }
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let books = self.status.books.len() as u16 + 3;
        let venues = self.status.venues.len() as u16 + 3;
        let [head, book, middle, rest] = Layout::vertical([
            Constraint::Length(3),
            Constraint::Length(books),
            Constraint::Length(venues),
            Constraint::Min(0),
        ])
        .areas(frame.area());
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(54), Constraint::Percentage(46)])
                .spacing(2)
                .areas(rest);
        let lines = self.positions.len().max(1) as u16 + 3;
        let [position, order] =
            Layout::vertical([Constraint::Length(lines), Constraint::Min(0)]).areas(left);
        self.draw_head(frame, head);
        self.draw_books(frame, book);
        self.draw_venues(frame, middle);
        self.draw_positions(frame, position);
        self.draw_orders(frame, order);
        self.draw_latency(frame, right);
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect) {
        let counter = |name: &str| count(self.status.counter(name));
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let switch = if self.status.kill.is_killed {
            Span::styled("KILLED", bold.fg(Color::Red))
        } else {
            Span::styled("trading", bold.fg(Color::Green))
        };
        let first = Line::from(vec![
            switch,
            Span::raw(format!(
                "  {} s, {} s left   messages {}   journal waiting {}   q ends",
                self.elapsed.as_secs(),
                self.left.as_secs(),
                counter("messages_rx"),
                count(self.status.journal_waiting)
            )),
        ]);
        let second = Line::from(format!(
            "orders {}  open {}  acks {}  rejects {}  fills {}  gaps {}  refused by risk {}",
            counter("orders_sent"),
            self.status.open_orders,
            counter("acks"),
            counter("rejects"),
            counter("fills"),
            counter("gaps"),
            counter("risk_refusals")
        ));
        frame.render_widget(Paragraph::new(vec![first, second]), area);
    }

    fn draw_books(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.status.books.iter().map(|book| {
            let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
            let colour = if book.state == "synced" {
                Color::Green
            } else {
                Color::Red
            };
            Row::new(vec![
                Cell::from(book.venue.clone()),
                Cell::from(book.symbol.clone()),
                Cell::from(Span::styled(book.state, Style::new().fg(colour))),
                right(trim(&cell(&book.bid_qty))),
                right(trim(&cell(&book.bid))).style(Style::new().fg(Color::Cyan)),
                right(trim(&cell(&book.ask))).style(Style::new().fg(Color::Magenta)),
                right(trim(&cell(&book.ask_qty))),
                right(count(book.updates)),
            ])
        });
        let head = [
            ("venue", 4),
            ("symbol", 4),
            ("book", 3),
            ("bid qty", 5),
            ("bid", 5),
            ("ask", 5),
            ("ask qty", 5),
            ("updates", 4),
        ];
        grid(frame, area, "books", &head, 3, rows);
    }

    fn draw_venues(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.status.venues.iter().map(|venue| {
            let word = |is_so: bool| if is_so { "yes" } else { "no" };
            Row::new(vec![
                Cell::from(venue.venue.clone()),
                Cell::from(venue.links.join(" ")),
                Cell::from(word(venue.is_logged_in)),
                Cell::from(word(venue.is_reconciled)),
                Cell::from(format!("{} / {}", venue.open_orders, venue.unknown_orders)),
                Cell::from(venue.reconnects.to_string()),
            ])
        });
        let head = [
            ("venue", 4),
            ("links", 8),
            ("login", 3),
            ("reconciled", 5),
            ("open/unknown", 6),
            ("reconnects", 5),
        ];
        grid(frame, area, "links", &head, head.len(), rows);
    }

    fn draw_positions(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.positions.iter().map(|position| {
            let [venue, symbol, numbers @ ..] = position;
            let texts = [Cell::from(venue.clone()), Cell::from(symbol.clone())];
            Row::new(
                texts
                    .into_iter()
                    .chain(numbers.iter().map(|text| right(text.clone()))),
            )
        });
        let head = [
            ("venue", 7),
            ("symbol", 8),
            ("qty", 9),
            ("P&L", 9),
            ("fills", 5),
        ];
        grid(frame, area, "positions", &head, 2, rows);
    }

    fn draw_orders(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.orders.orders.iter().rev().map(|order| {
            let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
            Row::new(vec![
                Cell::from(order.symbol.clone()),
                Cell::from(cell(&order.side)),
                right(cell(&order.price)),
                right(cell(&order.qty)),
                right(order.state.clone()),
            ])
        });
        let head = [
            ("symbol", 8),
            ("side", 4),
            ("price", 9),
            ("qty", 6),
            ("state", 17),
        ];
        grid(frame, area, "open orders", &head, 2, rows);
    }

    fn draw_latency(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.latency.all.iter().map(|stage| {
            Row::new(vec![
                Cell::from(stage.stage.replace('_', " ")),
                right(nanos(stage.p50_ns)),
                right(nanos(stage.p99_ns)),
                right(nanos(stage.max_ns)),
            ])
        });
        let head = [("stage", 17), ("p50", 8), ("p99", 8), ("max", 8)];
        grid(frame, area, "latency", &head, 1, rows);
    }
}

/// A table under a rule; columns share the width by weight, and those from `numbers` on are numbers: their heads stand at the right too.
fn grid<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'a str,
    head: &[(&'a str, u16)],
    numbers: usize,
    rows: impl Iterator<Item = Row<'a>>,
) {
    let dim = Style::new().fg(Color::DarkGray);
    let cells = head.iter().enumerate().map(|(at, (name, _))| {
        if at >= numbers {
            right((*name).to_owned())
        } else {
            Cell::from(*name)
        }
    });
    let widths = head.iter().map(|(_, weight)| Constraint::Fill(*weight));
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(dim)
        .title(title);
    let table = Table::new(rows, widths)
        .header(Row::new(cells).style(dim))
        .block(block);
    frame.render_widget(table, area);
}

fn right<'a>(text: String) -> Cell<'a> {
    Cell::from(Line::from(text).right_aligned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dp_shm::{BookState, BookTop, InstrumentEntry, LinkState, Shape, Stage, VenueStatus};
    use dp_types::{Epoch, Instrument, InstrumentId, LaneId, Price, Qty, UnixNanos, VenueId};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn text(region: &Region, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let picture = Picture::read(region, Duration::from_secs(3), Duration::from_secs(27));
        terminal.draw(|frame| picture.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_is_on_a_small_terminal_and_nothing_breaks_on_a_tiny_one() {
        let dir = tempfile::tempdir().unwrap();
        let shape = Shape::new(1, 4, 256, 256);
        let (region, _) = Region::open_or_create(&dir.path().join("shm"), &shape).unwrap();
        region.begin_run(Epoch(1), 1_000_000_000, UnixNanos(1));
        let symbol = dp_types::Text::new("BTC-USDT").unwrap();
        let instrument = Instrument::bare(InstrumentId(0), VenueId::OKX, symbol, 1, 8);
        let entry = InstrumentEntry {
            instrument,
            base: dp_types::Text::EMPTY,
            quote: dp_types::Text::EMPTY,
        };
        region.instruments().publish(&entry).unwrap();
        let top = BookTop {
            bid_price: Price(650_000),
            bid_qty: Qty(123_456_789),
            ask_price: Price(650_001),
            ask_qty: Qty(100_000_000),
            state: BookState::Synced,
            ..BookTop::default()
        };
        region.book(InstrumentId(0)).unwrap().write(&top);
        let mut links = [LinkState::None; 8];
        links[..3].fill(LinkState::Up);
        let status = VenueStatus {
            venue: VenueId::OKX,
            links,
            ..VenueStatus::default()
        };
        region.venue(VenueId::OKX).unwrap().write(&status);
        let lane = region.lane_writer(LaneId(0)).unwrap();
        lane.stages.record(Stage::TickToTrade, 15_500);
        let picture = text(&region, 80, 24);
        println!("{picture}");
        for want in [
            "trading",
            "27 s left",
            "BTC-USDT",
            "65000 ",
            "1.23456789",
            "up up up",
            "tick to trade",
            "15.5 µs",
        ] {
            assert!(picture.contains(want), "{want} in\n{picture}");
        }
        text(&region, 10, 3);
        text(&region, 1, 1);
    }
}
