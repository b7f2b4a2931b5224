//! Glob patterns on bytes, exactly as Redis matches them.
//!
//! A pattern is compiled once. Every element but `*` takes one byte, so the last `*` seen is the
//! only place to go back to, and matching costs at most pattern times text, never more.
//!
//! # Source
//! Redis 7.0 `stringmatchlen`, with what follows from it: an unclosed class ends with the pattern,
//! a range may be written backwards, `[a-]` is a range up to `]`, a `\` that ends the pattern is
//! itself, and the empty text is matched by the empty pattern alone, not by `*`.

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Glob {
    elements: Vec<Element>,
    literal_len: usize,
}

#[derive(Clone, Debug)]
enum Element {
    /// `*`: any bytes, or none.
    Many,
    /// `?`.
    One,
    Byte(u8),
    Class(Box<ByteSet>),
}

/// A set of bytes, a bit for each.
#[derive(Clone, Debug, Default)]
struct ByteSet([u64; 4]);

impl Glob {
    /// Compiles a pattern; every pattern is one.
    pub fn new(pattern: &[u8]) -> Glob {
        let mut elements = Vec::new();
        let mut rest = pattern;
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            match first {
                b'*' if matches!(elements.last(), Some(Element::Many)) => {}
                b'*' => elements.push(Element::Many),
                b'?' => elements.push(Element::One),
                b'[' => elements.push(Element::Class(Box::new(class(&mut rest)))),
                b'\\' if !rest.is_empty() => {
                    elements.push(Element::Byte(rest[0]));
                    rest = &rest[1..];
                }
                byte => elements.push(Element::Byte(byte)),
            }
        }
        let literal_len =
            elements.iter().take_while(|element| matches!(element, Element::Byte(_))).count();
        Glob { elements, literal_len }
    }

    /// The bytes that every match begins with.
    pub fn literal_prefix(&self) -> Vec<u8> {
        let byte = |element: &Element| match element {
            Element::Byte(byte) => Some(*byte),
            Element::Many | Element::One | Element::Class(_) => None,
        };
        self.elements[..self.literal_len].iter().filter_map(byte).collect()
    }

    /// Whether all of `text` matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        if text.is_empty() {
            return self.elements.is_empty();
        }
        let (mut element, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            let taken = match self.elements.get(element) {
                Some(Element::Many) => {
                    element += 1;
                    retry = Some((element, at));
                    continue;
                }
                Some(Element::One) => true,
                Some(Element::Byte(byte)) => *byte == text[at],
                Some(Element::Class(set)) => set.has(text[at]),
                None => false,
            };
            if taken {
                (element, at) = (element + 1, at + 1);
                continue;
            }
            // The last star takes one byte more.
            let Some((after_star, from)) = retry else { return false };
            (element, at) = (after_star, from + 1);
            retry = Some((after_star, at));
        }
        self.elements[element..].iter().all(|left| matches!(left, Element::Many))
    }
}

/// Reads a class after its `[`, its `]` included.
fn class(rest: &mut &[u8]) -> ByteSet {
    let mut set = ByteSet::default();
    let not = rest.first() == Some(&b'^');
    if not {
        *rest = &rest[1..];
    }
    loop {
        let used = match **rest {
            [] => break,
            [b'\\', byte, ..] => {
                set.add(byte..=byte);
                2
            }
            [b']', ..] => {
                *rest = &rest[1..];
                break;
            }
            [from, b'-', to, ..] => {
                set.add(from.min(to)..=from.max(to));
                3
            }
            [byte, ..] => {
                set.add(byte..=byte);
                1
            }
        };
        *rest = &rest[used..];
    }
    if not { set.complement() } else { set }
}

impl ByteSet {
    fn add(&mut self, bytes: std::ops::RangeInclusive<u8>) {
        for byte in bytes {
            self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] & (1 << (byte % 64)) != 0
    }

    fn complement(&self) -> ByteSet {
        ByteSet(self.0.map(|word| !word))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Redis's algorithm as it is written there: recursion on every `*`, classes read in place.
    fn reference(mut pattern: &[u8], mut text: &[u8]) -> bool {
        while let (Some(&first), Some(&byte)) = (pattern.first(), text.first()) {
            match first {
                b'*' => {
                    while pattern.get(1) == Some(&b'*') {
                        pattern = &pattern[1..];
                    }
                    if pattern.len() == 1 {
                        return true;
                    }
                    return (0..text.len()).any(|skip| reference(&pattern[1..], &text[skip..]));
                }
                b'?' => {}
                b'[' => {
                    pattern = &pattern[1..];
                    let (matched, after) = reference_class(pattern, byte);
                    if !matched {
                        return false;
                    }
                    // The shared step below takes one more.
                    pattern = after;
                }
                b'\\' if pattern.len() >= 2 => {
                    pattern = &pattern[1..];
                    if pattern[0] != byte {
                        return false;
                    }
                }
                _ if first == byte => {}
                _ => return false,
            }
            pattern = pattern.get(1..).unwrap_or_default();
            text = &text[1..];
            if text.is_empty() {
                while pattern.first() == Some(&b'*') {
                    pattern = &pattern[1..];
                }
                break;
            }
        }
        pattern.is_empty() && text.is_empty()
    }

    /// Whether a class matches, and the pattern from its last byte on.
    fn reference_class(mut pattern: &[u8], byte: u8) -> (bool, &[u8]) {
        let not = pattern.first() == Some(&b'^');
        if not {
            pattern = &pattern[1..];
        }
        let mut matched = false;
        loop {
            if pattern.len() >= 2 && pattern[0] == b'\\' {
                pattern = &pattern[1..];
                matched |= pattern[0] == byte;
            } else if pattern.first() == Some(&b']') || pattern.is_empty() {
                break;
            } else if pattern.len() >= 3 && pattern[1] == b'-' {
                let (from, to) = (pattern[0].min(pattern[2]), pattern[0].max(pattern[2]));
                matched |= (from..=to).contains(&byte);
                pattern = &pattern[2..];
            } else {
                matched |= pattern[0] == byte;
            }
            pattern = &pattern[1..];
        }
        (matched != not, pattern)
    }

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(
            Glob::new(pattern.as_bytes()).matches(text.as_bytes()),
            expected,
            "{pattern} {text}"
        );
        assert_eq!(reference(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
    }

    #[test]
    fn the_documented_forms_match_as_documented() {
        for (pattern, text, expected) in [
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h*llo", "hllo", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            (r"h\?llo", "h?llo", true),
            (r"h\?llo", "hello", false),
            ("news.*", "news.", true),
            ("*.*", "a.b", true),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            check(pattern, text, expected);
        }
    }

    #[test]
    fn the_corners_are_those_of_redis() {
        for (pattern, text, expected) in [
            ("*", "", false),
            ("", "", true),
            ("", "a", false),
            ("[", "a", false),
            ("[^", "a", true),
            ("[abc", "b", true),
            ("[]", "a", false),
            ("[^]", "a", true),
            ("[a-]", "^", true),
            (r"[\]]", "]", true),
            ("a\\", "a\\", true),
            (r"[a\-z]", "m", false),
        ] {
            check(pattern, text, expected);
        }
    }

    proptest! {
        #[test]
        fn matching_is_redis_matching(
            pattern in r"[ab*?\[\]\\^\-]{0,9}",
            text in r"[ab\]\[^*\\-]{0,9}",
        ) {
            let glob = Glob::new(pattern.as_bytes());
            prop_assert_eq!(glob.matches(text.as_bytes()), reference(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn what_matches_begins_with_the_literal_prefix(
            pattern in r"[ab*?\[\]\\]{0,6}",
            text in "[ab]{0,6}",
        ) {
            let glob = Glob::new(pattern.as_bytes());
            if glob.matches(text.as_bytes()) {
                prop_assert!(text.as_bytes().starts_with(&glob.literal_prefix()));
            }
        }
    }
}
