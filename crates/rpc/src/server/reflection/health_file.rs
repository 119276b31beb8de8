//! The descriptor of `grpc.health.v1`, so that grpcurl can call it.

use bytes::Bytes;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    MethodDescriptorProto, ServiceDescriptorProto,
};

pub(super) fn encoded() -> Bytes {
    let request = message("HealthCheckRequest", field("service", Type::String, None));
    let mut response = message(
        "HealthCheckResponse",
        field("status", Type::Enum, Some(".grpc.health.v1.HealthCheckResponse.ServingStatus")),
    );
    let names = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
    response.enum_type.push(EnumDescriptorProto {
        name: Some("ServingStatus".to_owned()),
        value: (0..).zip(names).map(|(number, name)| value(name, number)).collect(),
        ..Default::default()
    });
    let service = ServiceDescriptorProto {
        name: Some("Health".to_owned()),
        method: vec![method("Check", false), method("Watch", true)],
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("grpc/health/v1/health.proto".to_owned()),
        package: Some("grpc.health.v1".to_owned()),
        message_type: vec![request, response],
        service: vec![service],
        syntax: Some("proto3".to_owned()),
        ..Default::default()
    };
    file.encode_to_vec().into()
}

fn message(name: &str, field: FieldDescriptorProto) -> DescriptorProto {
    DescriptorProto { name: Some(name.to_owned()), field: vec![field], ..Default::default() }
}

fn field(name: &str, kind: Type, type_name: Option<&str>) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(1),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        type_name: type_name.map(str::to_owned),
        json_name: Some(name.to_owned()),
        ..Default::default()
    }
}

fn value(name: &str, number: i32) -> EnumValueDescriptorProto {
    EnumValueDescriptorProto { name: Some(name.to_owned()), number: Some(number), options: None }
}

fn method(name: &str, streams: bool) -> MethodDescriptorProto {
    MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".grpc.health.v1.HealthCheckRequest".to_owned()),
        output_type: Some(".grpc.health.v1.HealthCheckResponse".to_owned()),
        server_streaming: Some(streams),
        ..Default::default()
    }
}
