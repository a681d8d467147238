//! The topics of the market sockets: what is behind `market.SYMBOL.`

/// Windows of increments: levels, and whether they come at once.
pub const WINDOWS: [(usize, bool); 5] = [
    (5, true),
    (10, true),
    (20, true),
    (150, false),
    (400, false),
];

/// What can be subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// `mbp.N`.
    Increments(usize),
    /// `mbp.refresh.N`.
    Refresh(usize),
    /// `depth.stepN`.
    Depth(u32),
    /// `bbo`.
    Quote,
    /// `trade.detail`.
    Trades,
    /// `ticker`.
    Ticker,
    /// `detail`.
    Detail,
}

impl Topic {
    /// From the words behind the symbol. `None` for what there is not.
    pub fn parse(text: &str) -> Option<Self> {
        let topic = match text {
            "bbo" => Self::Quote,
            "trade.detail" => Self::Trades,
            "ticker" => Self::Ticker,
            "detail" => Self::Detail,
            _ => match text.rsplit_once('.')? {
                ("mbp.refresh", levels) => {
                    let levels = levels.parse().ok()?;
                    [5, 10, 20]
                        .contains(&levels)
                        .then_some(Self::Refresh(levels))?
                }
                ("mbp", levels) => {
                    let levels = levels.parse().ok()?;
                    let is_one = WINDOWS.iter().any(|(known, _)| *known == levels);
                    is_one.then_some(Self::Increments(levels))?
                }
                ("depth", step) => {
                    let step = step.strip_prefix("step")?.parse().ok()?;
                    (step <= 5).then_some(Self::Depth(step))?
                }
                _ => return None,
            },
        };
        // Only as printed: no sign, no leading zero.
        (topic.name() == text).then_some(topic)
    }

    /// The words behind the symbol.
    pub fn name(self) -> String {
        match self {
            Self::Increments(levels) => format!("mbp.{levels}"),
            Self::Refresh(levels) => format!("mbp.refresh.{levels}"),
            Self::Depth(step) => format!("depth.step{step}"),
            Self::Quote => "bbo".into(),
            Self::Trades => "trade.detail".into(),
            Self::Ticker => "ticker".into(),
            Self::Detail => "detail".into(),
        }
    }
}
