//! Redis's patterns: `*`, `?`, `[a-z]`, `[^a]` and `\` before a character that means itself.

/// LIMIT: stars that are followed on the way through one text; Redis gives up at as many.
const STARS_MAX: usize = 1000;

/// Whether a text matches a pattern. Takes time proportional to the product of the lengths at most,
/// whatever a peer sends.
pub fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen, mut stars) = (0, 0, 0);
    // Where to go on when what follows the last star does not match.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            retry = Some((at, seen));
            continue;
        }
        let step = match (pattern.get(at), text.get(seen)) {
            (None, None) => return true,
            (Some(_), Some(&byte)) => one(&pattern[at..], byte),
            _ => None,
        };
        if let Some(used) = step {
            at += used;
            seen += 1;
            continue;
        }
        match retry {
            Some((after_star, from)) if from < text.len() => {
                retry = Some((after_star, from + 1));
                (at, seen) = (after_star, from + 1);
            }
            _ => return false,
        }
    }
}

/// Matches one byte; gives how much of the pattern that took.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (matches, used) = in_class(class, byte);
            matches.then_some(used + 1)
        }
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [plain, ..] => (*plain == byte).then_some(1),
        [] => None,
    }
}

/// A class without its opening bracket. One that is not closed ends with the pattern, as in Redis.
fn in_class(class: &[u8], byte: u8) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut matches = false;
    loop {
        match &class[at.min(class.len())..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                matches |= *escaped == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                let (low, high) = (from.min(to), from.max(to));
                matches |= (*low..=*high).contains(&byte);
                at += 3;
            }
            [plain, ..] => {
                matches |= *plain == byte;
                at += 1;
            }
        }
    }
    (matches != negated, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hbllo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("[abc", "a", true),
            ("key:*:x", "key:1:y:x", true),
        ] {
            assert_eq!(
                glob_matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn too_many_stars_match_nothing() {
        let text = b"a".repeat(3000);
        assert!(glob_matches(&b"*?".repeat(1000), &text));
        assert!(!glob_matches(&b"*?".repeat(1001), &text));
    }

    #[test]
    fn many_stars_end_in_time() {
        let pattern = b"a*".repeat(200);
        assert!(!glob_matches(&[&pattern[..], b"b"].concat(), &b"a".repeat(2000)));
    }
}
