//! DescribeConfigs: the settings that act on a topic or on this node, and no others.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use posthouse_broker::{ConfigEntry, Operation, Resource, TopicRef};
use posthouse_types::Principal;

use super::acls::check_cluster;
use super::settings::{
    BrokerSetting, DEFAULT_CONFIG, DYNAMIC_TOPIC_CONFIG, STATIC_BROKER_CONFIG, Target,
    broker_settings, source_of, target,
};
use crate::errors::{Refusal, refusal};
use crate::node::Call;

/// What a client wants to see beside names and values.
#[derive(Clone, Copy)]
struct Wants {
    synonyms: bool,
    documentation: bool,
}

pub(super) async fn handle(call: Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let wants =
        Wants { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let described = describe(&call, &resource, wants).await;
        let answer = DescribeConfigsResult::default()
            .with_error_message(None)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        results.push(match described {
            Ok(configs) => answer.with_configs(configs),
            Err(refusal) => answer
                .with_error_code(refusal.code.code())
                .with_error_message(Some(refusal.message())),
        });
    }
    DescribeConfigsResponse::default().with_results(results)
}

async fn describe(
    call: &Call,
    resource: &DescribeConfigsResource,
    wants: Wants,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let mut configs = match target(call, resource.resource_type, &resource.resource_name)? {
        Target::Topic(topic) => topic_settings(call, &topic, wants).await?,
        Target::Broker => {
            check_cluster(call, Operation::DescribeConfigs)?;
            broker_settings(&call.node).into_iter().map(|one| broker_setting(one, wants)).collect()
        }
        Target::AllBrokers => {
            check_cluster(call, Operation::DescribeConfigs)?;
            Vec::new()
        }
    };
    if let Some(keys) = &resource.configuration_keys {
        configs.retain(|config| keys.contains(&config.name));
    }
    Ok(configs)
}

async fn topic_settings(
    call: &Call,
    topic: &TopicRef,
    wants: Wants,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let broker = call.broker();
    check_topic(call, topic)?;
    // Who may see its settings may do so without being allowed anything else.
    let topic = broker.topic(&Principal::node(), topic).await;
    let topic = topic.map_err(|error| Refusal::from(&error))?;
    let entries = broker.topic_config_entries(&topic);
    Ok(entries.into_iter().map(|entry| topic_setting(entry, wants)).collect())
}

fn check_topic(call: &Call, topic: &TopicRef) -> Result<(), Refusal> {
    match topic {
        TopicRef::Name(name) => call
            .broker()
            .authorize(&call.principal, Operation::DescribeConfigs, Resource::Topic(name))
            .map_err(|denied| refusal(Code::TopicAuthorizationFailed, &denied)),
        TopicRef::Id(_) => Err(Refusal::new(Code::InvalidRequest, "a topic is named here")),
    }
}

fn topic_setting(entry: ConfigEntry, wants: Wants) -> DescribeConfigsResourceResult {
    let name = StrBytes::from_static_str(entry.name);
    let source = source_of(&entry);
    let value = StrBytes::from_string(entry.value);
    let mut synonyms = Vec::new();
    if wants.synonyms {
        if entry.overridden {
            synonyms.push(synonym(&name, value.clone(), DYNAMIC_TOPIC_CONFIG));
        }
        synonyms.push(synonym(&name, StrBytes::from_string(entry.default), DEFAULT_CONFIG));
    }
    DescribeConfigsResourceResult::default()
        .with_name(name)
        .with_value(Some(value))
        .with_config_source(source)
        .with_synonyms(synonyms)
        .with_config_type(entry.kind)
        .with_documentation(documentation(entry.documentation, wants))
}

fn broker_setting(setting: BrokerSetting, wants: Wants) -> DescribeConfigsResourceResult {
    let name = StrBytes::from_static_str(setting.name);
    let value = StrBytes::from_string(setting.value);
    let synonyms = match wants.synonyms {
        true => vec![synonym(&name, value.clone(), STATIC_BROKER_CONFIG)],
        false => Vec::new(),
    };
    DescribeConfigsResourceResult::default()
        .with_name(name)
        .with_value(Some(value))
        .with_read_only(true)
        .with_config_source(STATIC_BROKER_CONFIG)
        .with_synonyms(synonyms)
        .with_config_type(setting.kind)
        .with_documentation(documentation(setting.documentation, wants))
}

fn synonym(name: &StrBytes, value: StrBytes, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(name.clone())
        .with_value(Some(value))
        .with_source(source)
}

fn documentation(text: &'static str, wants: Wants) -> Option<StrBytes> {
    wants.documentation.then(|| StrBytes::from_static_str(text))
}
