//! The live picture on a terminal.

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
    positions: Vec<[String; 7]>,
    elapsed: Duration,
    left: Duration,
}

impl Picture {
    fn read(region: &Region, elapsed: Duration, left: Duration) -> Self {
        let positions = positions::lines(region).map(|(it, state)| {
            [
                it.venue.name().to_owned(),
                it.symbol.as_str().to_owned(),
                it.qty_decimal(state.qty).to_string(),
                money(state.realised),
                money(state.unrealised),
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
            Layout::horizontal([Constraint::Percentage(52), Constraint::Percentage(48)])
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
                right(cell(&book.bid_qty)),
                right(cell(&book.bid)).style(Style::new().fg(Color::Cyan)),
                right(cell(&book.ask)).style(Style::new().fg(Color::Magenta)),
                right(cell(&book.ask_qty)),
                right(count(book.updates)),
            ])
        });
        let head = [
            "venue", "symbol", "book", "bid qty", "bid", "ask", "ask qty", "updates",
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
            "venue",
            "links",
            "logged in",
            "reconciled",
            "open / unknown",
            "reconnects",
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
        let head = ["venue", "symbol", "qty", "realised", "open", "P&L", "fills"];
        grid(frame, area, "positions", &head, 2, rows);
    }

    fn draw_orders(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.orders.orders.iter().rev().map(|order| {
            let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
            Row::new(vec![
                Cell::from(order.venue.clone()),
                Cell::from(order.symbol.clone()),
                Cell::from(cell(&order.side)),
                right(cell(&order.price)),
                right(cell(&order.qty)),
                Cell::from(order.state.clone()),
            ])
        });
        let head = ["venue", "symbol", "side", "price", "qty", "state"];
        grid(frame, area, "open orders", &head, 3, rows);
    }

    fn draw_latency(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.latency.all.iter().map(|stage| {
            Row::new(vec![
                Cell::from(stage.stage.replace('_', " ")),
                right(count(stage.count)),
                right(nanos(stage.p50_ns)),
                right(nanos(stage.p99_ns)),
                right(nanos(stage.max_ns)),
            ])
        });
        let head = ["stage", "count", "p50", "p99", "max"];
        grid(frame, area, "latency", &head, 1, rows);
    }
}

/// A table in a box; columns from `numbers` on are numbers: their heads stand at the right too.
fn grid<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'a str,
    head: &[&'a str],
    numbers: usize,
    rows: impl Iterator<Item = Row<'a>>,
) {
    let dim = Style::new().fg(Color::DarkGray);
    let cells = head.iter().enumerate().map(|(at, name)| {
        if at >= numbers {
            right((*name).to_owned())
        } else {
            Cell::from(*name)
        }
    });
    let widths = head.iter().map(|_| Constraint::Fill(1));
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
