//! A Kafka listener that acknowledges and discards: what a client can do at most.
//!
//! It answers just what a producer asks (ApiVersions, Metadata, InitProducerId, Produce), looks at no
//! record and keeps nothing, so that a benchmark can print the client's own limit beside each row.
//! For loopback only: it trusts its peers.

use std::env;

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, CreateTopicsRequest, CreateTopicsResponse,
    InitProducerIdResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
    ProducerId, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::{TcpListener, TcpStream};

/// Every topic has this many partitions; more than any row uses.
const PARTITIONS: i32 = 16;
const SUPPORTED: [(ApiKey, i16, i16); 5] = [
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::Produce, 0, 9),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
];

#[tokio::main]
async fn main() -> Result<()> {
    let port: u16 = env::args().nth(1).context("usage: posthouse-bench-sink PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A client that goes away ends its connection; there is nobody to tell.
            drop(serve(stream, port).await);
        });
    }
}

async fn serve(stream: TcpStream, port: u16) -> Result<()> {
    let (mut input, output) = stream.into_split();
    let mut output = BufWriter::new(output);
    loop {
        let len = input.read_u32().await?;
        let mut frame = BytesMut::zeroed(usize::try_from(len)?);
        input.read_exact(&mut frame).await?;
        if let Some(answer) = answer(frame.freeze(), port)? {
            output.write_u32(u32::try_from(answer.len())?).await?;
            output.write_all(&answer).await?;
            output.flush().await?;
        }
    }
}

fn answer(mut frame: Bytes, port: u16) -> Result<Option<BytesMut>> {
    let key = i16::from_be_bytes(*frame.first_chunk().context("empty request")?);
    let version = i16::from_be_bytes([frame[2], frame[3]]);
    let Ok(key) = ApiKey::try_from(key) else { bail!("unknown request {key}") };
    let header = RequestHeader::decode(&mut frame, key.request_header_version(version))?;
    let mut out = BytesMut::with_capacity(256);
    let head = ResponseHeader::default().with_correlation_id(header.correlation_id);
    head.encode(&mut out, key.response_header_version(version))?;
    match key {
        ApiKey::ApiVersions => api_versions().encode(&mut out, version.min(3))?,
        ApiKey::Metadata => {
            metadata(MetadataRequest::decode(&mut frame, version)?, port)
                .encode(&mut out, version)?;
        }
        ApiKey::InitProducerId => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(1))
            .with_producer_epoch(0)
            .encode(&mut out, version)?,
        ApiKey::CreateTopics => {
            created(CreateTopicsRequest::decode(&mut frame, version)?).encode(&mut out, version)?;
        }
        ApiKey::Produce => {
            let request = ProduceRequest::decode(&mut frame, version)?;
            if request.acks == 0 {
                return Ok(None);
            }
            produced(request).encode(&mut out, version)?;
        }
        other => bail!("{other:?} is not served"),
    }
    Ok(Some(out))
}

fn api_versions() -> ApiVersionsResponse {
    let keys = SUPPORTED.map(|(key, min, max)| {
        ApiVersion::default().with_api_key(key as i16).with_min_version(min).with_max_version(max)
    });
    ApiVersionsResponse::default().with_api_keys(keys.to_vec())
}

fn metadata(request: MetadataRequest, port: u16) -> MetadataResponse {
    let partitions: Vec<_> = (0..PARTITIONS)
        .map(|index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(1))
                .with_replica_nodes(vec![BrokerId(1)])
                .with_isr_nodes(vec![BrokerId(1)])
        })
        .collect();
    let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
        MetadataResponseTopic::default().with_name(topic.name).with_partitions(partitions.clone())
    });
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(1))
        .with_host(StrBytes::from_static_str("127.0.0.1"))
        .with_port(i32::from(port));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_controller_id(BrokerId(1))
        .with_cluster_id(Some(StrBytes::from_static_str("sink")))
        .with_topics(topics.collect())
}

fn created(request: CreateTopicsRequest) -> CreateTopicsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        CreatableTopicResult::default()
            .with_name(topic.name)
            .with_num_partitions(PARTITIONS)
            .with_replication_factor(1)
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

fn produced(request: ProduceRequest) -> ProduceResponse {
    let responses = request.topic_data.into_iter().map(|topic| {
        let partitions = topic
            .partition_data
            .iter()
            .map(|partition| PartitionProduceResponse::default().with_index(partition.index));
        TopicProduceResponse::default()
            .with_name(TopicName(topic.name.0.clone()))
            .with_partition_responses(partitions.collect())
    });
    ProduceResponse::default().with_responses(responses.collect())
}
