//! What an object store answers: the name of the document, and of an error its code, message and region ("Error responses" in the Amazon S3 API
//! reference; MinIO, Garage and R2 keep to its form).
//!
//! Reads XML from front to back and once; no entity is expanded, no document type read. Total: hostile text gives what was understood by then. No I/O.

use quick_xml::Reader;
use quick_xml::events::Event;

/// The most pieces of a document that are read; an error has a dozen.
const MAX_EVENTS: usize = 256;
/// The longest value that is kept, in characters.
const LONGEST: usize = 300;

/// What was understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Document {
    /// The name of the outermost element, such as `Error`, `ListBucketResult`, `ListAllMyBucketsResult`; empty for what is no XML.
    pub root: String,
    /// `<Code>` of an error.
    pub code: Option<String>,
    /// `<Message>` of an error.
    pub message: Option<String>,
    /// `<Region>` of an error.
    pub region: Option<String>,
}

/// Reads a body.
pub fn parse(body: &[u8]) -> S3Document {
    let mut document = S3Document::default();
    let body = String::from_utf8_lossy(body);
    let mut reader = Reader::from_str(&body);
    // How deep we are, and in which child of the outermost element.
    let (mut depth, mut field) = (0_usize, String::new());
    for _ in 0..MAX_EVENTS {
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                depth += 1;
                let name = element.local_name().as_ref().to_owned();
                match depth {
                    1 => document.root = text(&name),
                    2 => field = name,
                    _ => {}
                }
            }
            Ok(Event::Empty(element)) if depth == 0 => document.root = text(element.local_name().as_ref()),
            Ok(Event::End(_)) => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
                field.clear();
            }
            Ok(Event::Text(content)) if depth == 2 && document.root == "Error" => {
                let place = match field.as_str() {
                    "Code" => &mut document.code,
                    "Message" => &mut document.message,
                    "Region" => &mut document.region,
                    _ => continue,
                };
                // What follows an entity comes as a piece of its own.
                let so_far = place.take().unwrap_or_default();
                *place = Some(so_far + &text(&content));
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    document
}

fn text(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::{S3Document, parse};

    #[test]
    fn an_error_gives_its_code_its_words_and_the_region_that_it_names() {
        let text = br#"<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AuthorizationHeaderMalformed</Code><Message>The region is wrong; expecting 'eu-north-9'.</Message><Region>eu-north-9</Region><RequestId>1</RequestId></Error>"#;
        let read = parse(text);
        assert_eq!((read.root.as_str(), read.code.as_deref()), ("Error", Some("AuthorizationHeaderMalformed")));
        assert_eq!(read.region.as_deref(), Some("eu-north-9"));
        assert!(read.message.is_some_and(|message| message.starts_with("The region is wrong")));
    }

    #[test]
    fn a_list_of_buckets_is_known_by_its_name_and_the_names_in_it_are_not_kept() {
        let text = br#"<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>Code</ID></Owner><Buckets><Bucket><Name>b</Name></Bucket></Buckets></ListAllMyBucketsResult>"#;
        assert_eq!(parse(text), S3Document { root: "ListAllMyBucketsResult".into(), ..S3Document::default() });
    }

    #[test]
    fn what_is_no_xml_has_no_name() {
        assert_eq!(parse(b"StoreDir: /nix/store\n"), S3Document::default());
        assert_eq!(parse(b""), S3Document::default());
    }

    #[test]
    fn a_document_that_never_ends_is_read_only_so_far() {
        let deep = b"<a>".repeat(100_000);
        assert_eq!(parse(&deep).root, "a");
        let wide = [b"<Error><Code>x</Code>".to_vec(), b"<y>z</y>".repeat(100_000)].concat();
        assert_eq!(parse(&wide).code.as_deref(), Some("x"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
