//! The one look of all tables: no frame, a line under the heads, numbers to the right.

use super::Style;
use comfy_table::{Attribute, Cell, CellAlignment, LineStyle, Row, Table, TableStyle};

const LOOK: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Where a column's texts stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Middle,
    Right,
}

impl Align {
    const fn of_cell(self) -> CellAlignment {
        match self {
            Align::Left => CellAlignment::Left,
            Align::Middle => CellAlignment::Center,
            Align::Right => CellAlignment::Right,
        }
    }
}

pub(super) struct Grid {
    table: Table,
    columns: Vec<Align>,
}

impl Grid {
    pub(super) fn new(heads: &[(&str, Align)], style: Style) -> Grid {
        let mut table = Table::new();
        table.load_style(LOOK);
        // The caller knows whether there is a terminal; the table must not ask.
        table.force_no_tty();
        if style.colour {
            table.enforce_styling();
        }
        let columns: Vec<Align> = heads.iter().map(|(_, align)| *align).collect();
        table.set_header(heads.iter().map(|(head, align)| Cell::new(head).set_alignment(align.of_cell())));
        Grid { table, columns }
    }

    pub(super) fn row(&mut self, texts: impl IntoIterator<Item = String>) {
        self.add(texts, false);
    }

    /// A row that stands out where colour is allowed.
    pub(super) fn bold_row(&mut self, texts: impl IntoIterator<Item = String>) {
        self.add(texts, true);
    }

    fn add(&mut self, texts: impl IntoIterator<Item = String>, bold: bool) {
        let cells = texts.into_iter().zip(&self.columns).map(|(text, align)| {
            let cell = Cell::new(text).set_alignment(align.of_cell());
            if bold { cell.add_attribute(Attribute::Bold) } else { cell }
        });
        self.table.add_row(Row::from(cells));
    }

    /// The table, ended by a line feed.
    pub(super) fn finish(self) -> String {
        format!("{}\n", self.table.trim_fmt())
    }
}

/// Lines of `name  value`, the values below each other.
pub(super) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    pairs.iter().map(|(name, value)| format!("{name:width$}  {value}").trim_end().to_owned() + "\n").collect()
}
