//! fo_mktlots.csv: the lot size of each underlying's contracts, by the month they expire in.
//!
//! Cells are padded with blanks. Index underlyings come first; a second header row, `Derivatives on Individual
//! Securities,Symbol,...`, opens the shares. Source: the published file.

use super::{
    WireError,
    error::check_body,
    field::{digits, month_from_name, month_name},
};
use crate::market::TradingDate;
use chrono::Datelike;
use csv::{ByteRecord, ReaderBuilder, Trim};
use std::collections::BTreeSet;

const WHAT: &str = "fo_mktlots.csv";
const SHARES_HEADER: &str = "Derivatives on Individual Securities";

/// A month of expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LotMonth {
    pub year: i32,
    /// From 1.
    pub month: u32,
}

impl LotMonth {
    pub fn of(expiry: TradingDate) -> LotMonth {
        LotMonth { year: expiry.year(), month: expiry.month() }
    }

    /// Reads `JAN-26`; years are of this century.
    fn parse(text: &[u8]) -> Option<LotMonth> {
        let (month, year) = (text.get(..3)?, text.get(3..)?.strip_prefix(b"-")?);
        let year = if year.len() == 2 { digits(year)? } else { return None };
        Some(LotMonth { year: 2_000 + i32::try_from(year).ok()?, month: month_from_name(month)? })
    }

    fn text(self) -> String {
        format!("{}-{:02}", month_name(self.month).to_ascii_uppercase(), self.year.rem_euclid(100))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LotSection {
    Indices,
    Shares,
}

/// One underlying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotRow {
    pub section: LotSection,
    /// `NIFTY 50`, `RELIANCE INDUSTRIES LTD`; without leading and trailing blanks.
    pub name: String,
    /// The exchange's symbol: `NIFTY`, `M&M`.
    pub symbol: String,
    /// Units in a lot, one for each of the table's months; `None` where no contract expires in it.
    pub lots: Vec<Option<u32>>,
}

/// The whole file. Rows of [`LotSection::Indices`] come before those of shares, and no symbol twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LotTable {
    pub months: Vec<LotMonth>,
    pub rows: Vec<LotRow>,
}

impl LotTable {
    pub fn row(&self, symbol: &str) -> Option<&LotRow> {
        self.rows.iter().find(|row| row.symbol == symbol)
    }

    /// Units in a lot of the contracts that expire in `expiry`'s month; `None` where the file does not say.
    pub fn lot_size(&self, symbol: &str, expiry: TradingDate) -> Option<u32> {
        let month = LotMonth::of(expiry);
        let column = self.months.iter().position(|listed| *listed == month)?;
        self.row(symbol)?.lots[column]
    }
}

fn wrong(line: u64, cell: usize, reason: impl Into<String>) -> WireError {
    WireError::Csv { what: WHAT, line, cell: cell + 1, reason: reason.into() }
}

fn text_of(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).trim().to_owned()
}

/// Decodes the file.
pub fn decode_lots(body: &[u8]) -> Result<LotTable, WireError> {
    check_body(WHAT, body)?;
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(body);
    let mut table = LotTable::default();
    let mut symbols = BTreeSet::new();
    let mut section = LotSection::Indices;
    let mut record = ByteRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(wrong(line, 0, error.to_string())),
        }
        let line = record.position().map_or(line, csv::Position::line);
        if record.iter().all(<[u8]>::is_empty) {
            continue;
        }
        if table.months.is_empty() {
            table.months = decode_header(line, &record)?;
            continue;
        }
        let is_second_header = record[0].eq_ignore_ascii_case(SHARES_HEADER.as_bytes())
            || record.get(1).is_some_and(|cell| cell == b"Symbol");
        if is_second_header {
            check_second_header(line, &record, &table.months)?;
            section = LotSection::Shares;
            continue;
        }
        let row = decode_row(line, &record, section, table.months.len())?;
        if !symbols.insert(row.symbol.clone()) {
            return Err(wrong(line, 1, format!("{} stands here a second time", row.symbol)));
        }
        table.rows.push(row);
    }
    if table.rows.is_empty() {
        return Err(WireError::Empty { what: WHAT, bytes: body.len() });
    }
    Ok(table)
}

fn decode_header(line: u64, record: &ByteRecord) -> Result<Vec<LotMonth>, WireError> {
    for (cell, title) in ["UNDERLYING", "SYMBOL"].into_iter().enumerate() {
        if !record.get(cell).is_some_and(|text| text.eq_ignore_ascii_case(title.as_bytes())) {
            return Err(wrong(line, cell, format!("expected the title {title}")));
        }
    }
    let cells: Vec<&[u8]> = record.iter().collect();
    let filled = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
    let mut months = Vec::with_capacity(filled);
    for (cell, text) in cells.iter().enumerate().take(filled).skip(2) {
        let month = LotMonth::parse(text).ok_or_else(|| {
            wrong(line, cell, format!("expected a month like JAN-26, found {:?}", text_of(text)))
        })?;
        if months.contains(&month) {
            return Err(wrong(line, cell, format!("{} stands here a second time", month.text())));
        }
        months.push(month);
    }
    if months.is_empty() {
        return Err(wrong(line, 2, "expected a month like JAN-26"));
    }
    Ok(months)
}

/// The header of the shares repeats the months or leaves them blank; anything else would shift the columns.
fn check_second_header(line: u64, record: &ByteRecord, months: &[LotMonth]) -> Result<(), WireError> {
    for (cell, text) in record.iter().enumerate().skip(2).filter(|(_, text)| !text.is_empty()) {
        if LotMonth::parse(text).as_ref() != months.get(cell - 2) {
            return Err(wrong(
                line,
                cell,
                format!("{:?} is not the month of the first header", text_of(text)),
            ));
        }
    }
    Ok(())
}

fn decode_row(
    line: u64,
    record: &ByteRecord,
    section: LotSection,
    months: usize,
) -> Result<LotRow, WireError> {
    let symbol = record.get(1).unwrap_or_default();
    if symbol.is_empty() || !symbol.iter().all(u8::is_ascii_graphic) {
        return Err(wrong(line, 1, format!("{:?} is not a symbol", text_of(symbol))));
    }
    let lot = |cell: usize| match record.get(cell).unwrap_or_default() {
        b"" | b"-" => Ok(None),
        text => match digits(text) {
            Some(lot_size) if lot_size > 0 => Ok(Some(lot_size)),
            _ => Err(wrong(line, cell, format!("{:?} is not a lot size", text_of(text)))),
        },
    };
    if let Some(beyond) = (months + 2..record.len()).find(|cell| !record[*cell].is_empty()) {
        return Err(wrong(line, beyond, "a value beyond the last month"));
    }
    Ok(LotRow {
        section,
        name: text_of(&record[0]),
        symbol: text_of(symbol),
        lots: (2..months + 2).map(lot).collect::<Result<_, _>>()?,
    })
}

/// Writes the file with cells padded as NSE pads them. It decodes to `table` again if the table's rules hold.
pub fn encode_lots(table: &LotTable) -> Vec<u8> {
    let mut text = String::new();
    let mut write_row = |name: &str, symbol: &str, cells: &[String]| {
        let quoted_name = if name.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            name.to_owned()
        };
        text.push_str(&format!("{quoted_name:<70},{symbol:<10}"));
        for cell in cells {
            text.push_str(&format!(",{cell:<11}"));
        }
        text.push('\n');
    };
    let months: Vec<String> = table.months.iter().map(|month| month.text()).collect();
    write_row("UNDERLYING", "SYMBOL", &months);
    let mut section = LotSection::Indices;
    for row in &table.rows {
        if row.section == LotSection::Shares && section == LotSection::Indices {
            section = LotSection::Shares;
            write_row(SHARES_HEADER, "Symbol", &months);
        }
        let cells: Vec<String> =
            row.lots.iter().map(|lot| lot.map(|units| units.to_string()).unwrap_or_default()).collect();
        write_row(&row.name, &row.symbol, &cells);
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;
    use proptest::prelude::*;

    const FILE: &str = "UNDERLYING                 ,SYMBOL    ,JAN-26     ,FEB-26     ,MAR-26     ,\n\
         NIFTY 50                   ,NIFTY     ,65         ,65         ,           ,\n\
         Derivatives on Individual Securities,Symbol    ,JAN-26     ,FEB-26     ,MAR-26     ,\n\
         MAHINDRA & MAHINDRA LTD    ,M&M       ,200        ,200        ,200        ,\n\n";

    fn date(month: u32) -> TradingDate {
        NaiveDate::from_ymd_opt(2026, month, 24).expect("a date")
    }

    #[test]
    fn padded_cells_and_both_sections() {
        let table = decode_lots(FILE.as_bytes()).expect("the file");
        assert_eq!(table.rows.len(), 2);
        assert_eq!(table.rows[0].section, LotSection::Indices);
        assert_eq!(table.rows[1].section, LotSection::Shares);
        assert_eq!(table.lot_size("NIFTY", date(1)), Some(65));
        assert_eq!(table.lot_size("NIFTY", date(3)), None);
        assert_eq!(table.lot_size("M&M", date(3)), Some(200));
        assert_eq!(table.lot_size("M&M", date(4)), None);
        assert_eq!(table.lot_size("RELIANCE", date(1)), None);
    }

    #[test]
    fn errors_name_line_and_cell() {
        for (from, to, expected) in [
            ("FEB-26     ,MAR-26     ,\nN", "FEB-26     ,MARCH      ,\nN", "line 1 cell 5: expected a month"),
            (
                ",65         ,           ,",
                ",65.5       ,           ,",
                "line 2 cell 4: \"65.5\" is not a lot",
            ),
            (",65         ,           ,", ",0          ,           ,", "line 2 cell 4: \"0\" is not a lot"),
            ("Symbol    ,JAN-26", "Symbol    ,DEC-26", "line 3 cell 3: \"DEC-26\" is not the month"),
            ("M&M  ", "NIFTY", "line 4 cell 2: NIFTY stands here a second time"),
            ("M&M  ", "     ", "line 4 cell 2: \"\" is not a symbol"),
            ("200        ,\n", "200        ,7\n", "line 4 cell 6: a value beyond"),
            ("UNDERLYING", "NAME      ", "line 1 cell 1: expected the title UNDERLYING"),
        ] {
            let error = decode_lots(FILE.replacen(from, to, 1).as_bytes()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error} is not {expected}");
        }
        assert!(matches!(decode_lots(b"UNDERLYING,SYMBOL,JAN-26\n"), Err(WireError::Empty { .. })));
        assert!(matches!(decode_lots(b"<html>"), Err(WireError::Html { .. })));
    }

    fn table() -> impl Strategy<Value = LotTable> {
        let name = "[A-Z][A-Z &.,\"-]{0,20}[A-Z]";
        let rows = proptest::collection::btree_map("[A-Z0-9&-]{1,12}", (name, any::<bool>()), 1..20);
        (1_usize..8, rows).prop_flat_map(|(months, rows)| {
            let lots = proptest::collection::vec(proptest::option::of(1_u32..100_000), months);
            proptest::collection::vec(lots, rows.len()).prop_map(move |lots| {
                let month =
                    |index: usize| LotMonth { year: 2_026 + index as i32 / 12, month: index as u32 % 12 + 1 };
                let mut rows: Vec<LotRow> = rows
                    .iter()
                    .zip(lots)
                    .map(|((symbol, (name, is_index)), lots)| LotRow {
                        section: if *is_index { LotSection::Indices } else { LotSection::Shares },
                        name: name.clone(),
                        symbol: symbol.clone(),
                        lots,
                    })
                    .collect();
                rows.sort_by_key(|row| row.section == LotSection::Shares);
                LotTable { months: (0..months).map(month).collect(), rows }
            })
        })
    }

    proptest! {
        #[test]
        fn decoding_what_was_encoded_is_the_identity(table in table()) {
            prop_assert_eq!(decode_lots(&encode_lots(&table)), Ok(table));
        }
    }
}
