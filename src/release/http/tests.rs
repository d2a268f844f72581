//! Headers and kept answers, whatever stands in them.

#![expect(clippy::disallowed_methods, reason = "writes what a cache may hold")]

use camino::Utf8PathBuf;
use proptest::prelude::*;
use reqwest::header::HeaderValue;

use super::*;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(*name, value);
        }
    }
    headers
}

#[test]
fn a_limit_says_when_it_is_lifted_in_seconds_in_a_date_or_by_its_reset() {
    let until = |all: &[_]| limited_until(&headers(all), NOW).map(Timestamp::as_second);
    let now = NOW.as_second();
    assert_eq!(until(&[("retry-after", "30")]), Some(now + 30));
    let date = [("retry-after", "Fri, 15 Jan 2027 08:01:00 GMT")];
    assert_eq!(until(&date), Some(now + 60));
    let reset = ("x-ratelimit-reset", "1800000090");
    assert_eq!(until(&[reset]), Some(now + 90));
    assert_eq!(
        until(&[reset, ("x-ratelimit-remaining", "0")]),
        Some(now + 90)
    );
    // As long as some of the hour's quota is left, it is another limit.
    assert_eq!(until(&[reset, ("x-ratelimit-remaining", "7")]), None);
    assert_eq!(until(&[reset, ("retry-after", "30")]), Some(now + 30));
    assert_eq!(until(&[("retry-after", "soon")]), None);
    assert_eq!(until(&[]), None);
}

proptest! {
    #[test]
    fn any_header_is_a_time_or_nothing(text in ".{0,40}", number: i64) {
        for value in [text, number.to_string()] {
            let all = headers(&[("retry-after", &value), ("x-ratelimit-reset", &value)]);
            let _ = limited_until(&all, NOW);
            let _ = is_limited(&all);
        }
    }

    #[test]
    fn any_file_is_a_kept_answer_or_none(content: Vec<u8>, schema in 0..3_u32, fetched in ".{0,30}") {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = Utf8PathBuf::from_path_buf(temporary.path().join("root")).expect("UTF-8");
        let answers = Answers::new(Some(&folder.join("cache")));
        let url: Url = "https://api.example/x".parse().expect("a URL");
        let kept = answers::Kept::new(&url, None, "body".to_owned(), NOW);
        // There is no root yet: nothing is kept, and nothing is found.
        answers.keep(&url, None, &kept);
        prop_assert_eq!(answers.find::<String>(&url, None), None);

        std::fs::create_dir_all(&folder).expect("a folder");
        answers.keep(&url, None, &kept);
        prop_assert_eq!(answers.find::<String>(&url, None), Some(kept));
        let path = folder.join("cache/api").read_dir_utf8().expect("a folder").next();
        let path = path.expect("a file").expect("an entry").into_path();
        let near = serde_json::json!({
            "schema": schema, "url": url, "etag": null, "fetched": fetched, "body": "body",
        });
        for content in [content, near.to_string().into_bytes()] {
            std::fs::write(&path, content).expect("writable");
            let _ = answers.find::<String>(&url, None);
        }
    }
}

#[test]
fn a_certificate_that_proves_nothing_is_found_below_the_errors_around_it() {
    let wrong = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    assert_eq!(tls(&wrong()), Some(&wrong()));
    let wrapped = std::io::Error::other(std::io::Error::other(wrong()));
    assert_eq!(tls(&wrapped), Some(&wrong()));
    assert_eq!(tls(&std::io::Error::other("something else")), None);
}
