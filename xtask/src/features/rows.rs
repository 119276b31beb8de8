//! The feature rows of go-micro and the micro platform, and why one is not there yet.

/// A group of rows.
#[derive(Debug)]
pub(super) struct Area {
    pub(super) name: &'static str,
    pub(super) rows: Vec<Row>,
}

/// One feature.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) text: &'static str,
}

/// All rows, as `features.tsv` lists them.
pub(super) fn areas() -> Vec<Area> {
    let mut areas: Vec<Area> = Vec::new();
    for line in include_str!("features.tsv").lines() {
        let mut fields = line.split('\t');
        let (id, text) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        if id.len() == 1 {
            areas.push(Area { name: text, rows: Vec::new() });
        } else if let Some(area) = areas.last_mut() {
            area.rows.push(Row { id, text });
        }
    }
    areas
}

/// Why a row has no test: the first entry that names it, by id or by area letter.
const REASONS: &[(&[&str], &str)] = &[
    (&["N2", "N3", "N4", "N5"], "not planned: an application's own matter, not the framework's"),
    (&["A9"], "planned: functions"),
    (&["B6"], "planned: further codecs"),
    (&["A10"], "planned: web services"),
    (&["A11"], "planned: profiles"),
    (&["D16", "D17"], "planned: the other brokers"),
    (&["D19"], "planned: the `micro` command"),
    (&["M4"], "planned: OpenTelemetry export"),
    (&["N1"], "planned: MCP server"),
    (&["E"], "planned: durable events, as a service of the platform"),
    (&["F"], "planned: config"),
    (&["G"], "planned: store"),
    (&["H"], "planned: auth"),
    (&["I"], "planned: `micro server` and the runtime"),
    (&["J"], "planned: the `micro` command"),
    (&["K"], "planned: `micro new`"),
    (&["L"], "planned: API gateway"),
];

/// Why this row is not ticked.
pub(super) fn reason(id: &str) -> &'static str {
    let area = id.get(..1).unwrap_or_default();
    let found = REASONS.iter().find(|(ids, _)| ids.contains(&id) || ids.contains(&area));
    found.map_or("no test shows it yet", |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_149_rows_and_each_id_once() {
        let areas = areas();
        let mut ids: Vec<_> = areas.iter().flat_map(|area| &area.rows).map(|row| row.id).collect();
        assert_eq!(ids.len(), 149);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 149);
    }

    #[test]
    fn n2_to_n5_are_not_planned() {
        for id in ["N2", "N3", "N4", "N5"] {
            assert!(reason(id).starts_with("not planned"));
        }
        assert!(reason("N1").starts_with("planned"));
        assert_eq!(reason("F3"), "planned: config");
    }
}
