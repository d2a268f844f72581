//! The status page, asked as browsers, scrapers and strangers ask.

mod samples;

#[test]
fn dump() {
    use std::fs::write;
    let p = |v: &llama_orch::watch::snapshot::Snapshot| serde_json::to_string(v).unwrap();
    write("/tmp/pw/everything.json", p(&samples::everything())).unwrap();
    write("/tmp/pw/well.json", p(&samples::well(3))).unwrap();
    write("/tmp/pw/hundred.json", p(&samples::well(100))).unwrap();
    write("/tmp/pw/hostile.json", p(&samples::hostile())).unwrap();
}
