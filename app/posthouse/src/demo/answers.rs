//! The demo's questions, in SQL, and their answers as people read them.

use std::time::Instant;

use serde_json::{Value, json};

use crate::client::Client;
use crate::commands::say::say;
use crate::commands::table::{grouped, render};
use crate::exit::{Code, Failure};
use crate::rows::{Line, Rows};

/// A question.
struct Question {
    /// Its name in the answers' JSON.
    name: &'static str,
    title: &'static str,
    sql: &'static str,
}

/// Times are UTC. A cancelled flight has no delay, and does not count where delays are asked for.
const QUESTIONS: [Question; 4] = [
    Question {
        name: "flights",
        title: "How many flights were there?",
        sql: "SELECT count(*) AS flights FROM flights",
    },
    Question {
        name: "delay_by_airport_and_month",
        title: "How late do flights leave, in minutes on average, by airport and month?",
        sql: "\
SELECT month,
       avg(dep_delay) FILTER (WHERE origin = 'EWR') AS \"Newark\",
       avg(dep_delay) FILTER (WHERE origin = 'JFK') AS \"JFK\",
       avg(dep_delay) FILTER (WHERE origin = 'LGA') AS \"LaGuardia\"
FROM flights
GROUP BY month
ORDER BY month",
    },
    Question {
        name: "worst_hour",
        title: "Which hour of the year cost the most minutes at one airport, and what was the weather?",
        sql: "\
SELECT f.origin, f.time_hour, f.departures, f.minutes_late, f.worst,
       w.temp AS fahrenheit, w.wind_speed AS wind_mph, w.precip AS rain_inches, w.visib AS visible_miles
FROM (SELECT origin, time_hour, count(*) AS departures,
             sum(dep_delay) AS minutes_late, max(dep_delay) AS worst
      FROM flights WHERE dep_delay IS NOT NULL GROUP BY origin, time_hour) AS f
JOIN weather AS w ON w.origin = f.origin AND w.time_hour = f.time_hour
ORDER BY f.minutes_late DESC
LIMIT 1",
    },
    Question {
        name: "most_delayed_carriers",
        title: "Whose flights arrive latest?",
        sql: "\
SELECT a.name AS carrier, count(*) AS flights, avg(f.arr_delay) AS mean_minutes_late,
       100.0 * sum(CASE WHEN f.arr_delay > 15 THEN 1 ELSE 0 END) / count(f.arr_delay) AS percent_over_15
FROM flights AS f
JOIN airlines AS a ON a.carrier = f.carrier
GROUP BY a.name
ORDER BY mean_minutes_late DESC
LIMIT 5",
    },
];

/// Asks everything, prints the answers, and gives them back by name: for a question with one
/// value the value, for the others their rows.
pub(super) async fn ask_all(client: &Client) -> Result<Value, Failure> {
    let mut answers = serde_json::Map::new();
    for question in &QUESTIONS {
        let started = Instant::now();
        let answer = ask(client, question.sql).await?;
        print(question, &answer, started.elapsed().as_secs_f64());
        let rows = answer.rows;
        let value = match rows.as_slice() {
            [row] if row.len() == 1 => row[0].clone(),
            _ => json!(rows),
        };
        answers.insert(question.name.to_owned(), value);
    }
    Ok(Value::Object(answers))
}

struct Answer {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

async fn ask(client: &Client, sql: &str) -> Result<Answer, Failure> {
    let mut rows = Rows::ask(client, sql).await?.map_err(|problem| problem.into_failure())?;
    let mut answer = Answer { columns: Vec::new(), rows: Vec::new() };
    while let Some(line) = rows.next().await? {
        match line {
            Line::Columns(columns) => answer.columns = columns,
            Line::Row(row) => answer.rows.push(row),
            Line::Error(problem) => return Err(problem.into_failure()),
            Line::Done { .. } => {}
            Line::End => return Ok(answer),
        }
    }
    Err(Failure::new(Code::Failed, "the answer was cut short"))
}

fn print(question: &Question, answer: &Answer, seconds: f64) {
    say!("{}   ({seconds:.2} s)\n", question.title);
    for line in question.sql.lines() {
        say!("    {line}");
    }
    let rows: Vec<Vec<String>> =
        answer.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let table = render(&answer.columns, &rows, None);
    say!();
    for line in table.lines() {
        say!("  {line}");
    }
    say!();
}

/// A number with one decimal, a count with its thousands apart, a time without its zone.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if is_time(text) => text.trim_end_matches('Z').replacen('T', " ", 1),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => grouped(whole),
            None => format!("{:.1}", number.as_f64().unwrap_or_default()),
        },
        other => other.to_string(),
    }
}

fn is_time(text: &str) -> bool {
    text.get(..10).is_some_and(|date| date.parse::<jiff::civil::Date>().is_ok())
        && text.as_bytes().get(10) == Some(&b'T')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_for_people() {
        assert_eq!(cell(&json!(336_776)), "336,776");
        assert_eq!(cell(&json!(12.66)), "12.7");
        assert_eq!(cell(&json!("2013-07-22T22:00:00Z")), "2013-07-22 22:00:00");
        assert_eq!(cell(&json!("AirTran Airways Corporation")), "AirTran Airways Corporation");
        assert_eq!(cell(&Value::Null), "");
    }
}
