//! The page at `/`, for whoever opens the address to see what it is.

use axum::http::{HeaderMap, header};

use crate::routes::Door;

/// What is here, in plain text.
#[utoipa::path(get, path = "/", tag = "node", responses((status = 200, body = String)))]
pub(crate) async fn page(door: Door, headers: HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("HOST");
    let topics = door.broker.topics(&door.principal).await;
    let names: Vec<String> = topics
        .iter()
        .filter(|topic| !topic.internal)
        .take(TOPICS_SHOWN)
        .map(|topic| topic.name.to_string())
        .collect();
    let topics = match names.len() {
        0 => "none yet".to_owned(),
        TOPICS_SHOWN => names.join(", ") + ", …",
        _ => names.join(", "),
    };
    format!(
        "Posthouse {}\nTopics: {topics}\n{}",
        env!("CARGO_PKG_VERSION"),
        PATHS.replace("HOST", host)
    )
}

/// Topic names on the page; the rest is at `/topics`.
const TOPICS_SHOWN: usize = 20;

const PATHS: &str = "
GET    /topics                        list topics
POST   /topics                        make one: {\"name\": \"orders\", \"partitions\": 4}
GET    /topics/NAME                   describe one
PATCH  /topics/NAME                   change it: {\"config\": {\"retention.ms\": \"86400000\"}}
DELETE /topics/NAME                   delete it
POST   /topics/NAME/records           write a record: the body is its value, ?key=K its key
POST   /topics/NAME/records/batch     write many: a JSON object a line
GET    /topics/NAME/records           read: ?from=beginning|end|OFFSET|TIME &max=N &follow=true
POST   /channels/NAME                 publish: to whoever listens now, and to the topic of that name
GET    /channels/NAME                 follow as an event stream: ?match=name|prefix|glob
POST   /services/NAME                 ask a service: the body is the request, the answer's is its reply
GET    /ws                            a WebSocket: subscribe, publish, ask, serve, pair
GET    /groups                        list consumer groups
GET    /groups/NAME                   describe one
POST   /groups/NAME/offsets           move it: {\"topic\": \"orders\", \"to\": \"beginning\"}
DELETE /groups/NAME                   delete it
GET    /queues                        list queues: topics consumed one message at a time
POST   /queues/TOPIC/GROUP            make one: {\"lock_ms\": 30000, \"dead_letter\": \"dead\"}
POST   /queues/TOPIC/GROUP/lease      take messages: {\"max\": 10, \"wait_ms\": 20000}
POST   /queues/TOPIC/GROUP/ack        done with them: {\"leases\": [\"0-17-1-http\"]}
GET    /queues/TOPIC/GROUP/pending    who holds what
GET    /webhooks                      list webhooks: topics delivered to URLs
POST   /webhooks                      make one: {\"name\": \"crm\", \"topic\": \"orders\", \"url\": \"https://…\"}
GET    /sinks                         list file sinks: topics and channels written into files
POST   /sinks                         make one: {\"name\": \"audit\", \"topic\": \"orders\", \"file\": \"orders.log\"}
GET    /endpoints                     list ZeroMQ endpoints
POST   /endpoints                     make one: {\"name\": \"in\", \"socket\": \"PULL\", \"bind\": \"tcp://127.0.0.1:5555\", \"topic\": \"orders\"}
DELETE /endpoints/NAME                delete it
POST   /sql                           ask: the body is SQL
GET    /healthz  /readyz  /metrics    alive, ready, counted
GET    /openapi.json                  all of this, for programs

Try:
  curl -d 'hello' 'HOST/topics/greetings/records?key=world'
  curl 'HOST/topics/greetings/records'
  curl -d 'SELECT * FROM greetings LIMIT 10' 'HOST/sql'
";
