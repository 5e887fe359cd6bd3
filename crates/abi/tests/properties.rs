//! The properties that need not be written, and what the documentation says of them.

use std::collections::BTreeSet;
use std::fs;

use abi::property::Property;

#[test]
fn the_documentation_has_a_row_for_each_property_in_their_order() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scenarios.md");
    let page = fs::read_to_string(path).expect("docs/scenarios.md");
    let row = |property: Property| format!("| `{}` | {} |\n", property.name(), property.meaning());
    let rows: String = Property::ALL.iter().copied().map(row).collect();
    let table = format!("| property | when |\n|---|---|\n{rows}\n");
    assert!(page.contains(&table), "docs/scenarios.md should have\n{table}");
}

#[test]
fn names_differ() {
    let names: BTreeSet<&str> = Property::ALL.iter().map(|property| property.name()).collect();
    assert_eq!(names.len(), Property::ALL.len());
}
