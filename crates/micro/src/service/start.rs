//! The way up: hooks, listen, connect, subscribe, register, hooks.

use std::sync::Arc;

use micro_core::Result;
use micro_rpc::{Server, ServerOptions};

use super::Service;
use super::broker_use::BrokerUse;
use super::leave::Leave;
use super::record::{Parts, record};
use super::registration::Registration;
use super::running::{Open, Running};
use crate::debug::Debug;
use crate::probe::{Probe, Ready};
use crate::settings::advertised;

/// Starts, or closes again what it had opened.
pub(super) async fn start(service: Service) -> Result<Running> {
    let Service { id, settings, broker, registry, client, events, endpoints, subscribers, mut hooks, runtime, layers } =
        service;
    hooks.before_start.run().await?;
    tracing::info!("Starting [service] {}", settings.name);
    tracing::debug!("Settings of {}: {}", settings.name, settings.shown.join(" "));

    let ready = Arc::new(Ready::new(&settings.name, Arc::clone(&broker)));
    // From here on a start that is cancelled is stopped as a running service is that is dropped.
    let open = Open::new(settings.name.clone(), settings.drain, hooks);
    let mut running = Running::new(open, Arc::clone(&ready), client.clone());
    let open = running.open_mut();
    let opened = async {
        if let Some(address) = &settings.http_address {
            open.probe = Some(Probe::serve(address, Arc::clone(&ready)).await?);
        }
        let debug = Debug::new(client.clone());
        let mut options = ServerOptions::new(settings.name.as_str()).address(settings.listen.address()?);
        if let Some(tls) = settings.server_tls {
            options = options.tls(tls);
        }
        if let Some(runtime) = runtime {
            options = options.runtime(runtime);
        }
        options = layers.into_iter().fold(settings.load.limit(options), ServerOptions::layer);
        let mut server = Server::new(options);
        for handled in endpoints {
            server.handle(handled);
        }
        server.handle(debug.endpoints());
        debug.serving(server.stats());
        let endpoints = server.records();
        open.leave = Some(Leave::new(settings.drain_wait, registry.name(), !endpoints.is_empty()));
        let server = server.start().await?;
        let bound = server.address();
        open.server = Some(server);
        tracing::info!("Server [grpc] Listening on {bound}");

        open.broker = Some(BrokerUse::begin(Arc::clone(&broker)).await?);
        let mut topics = Vec::new();
        for subscriber in subscribers {
            let topic = subscriber.topic().to_string();
            tracing::info!("Subscribing to topic: {topic}");
            open.subscribed.push(events.subscribe(subscriber).await?);
            topics.push(topic);
        }

        let record = record(Parts {
            name: &settings.name,
            version: &settings.version,
            id: &id,
            address: advertised(settings.advertise.as_deref(), bound),
            metadata: &settings.metadata,
            broker: broker.name(),
            registry: registry.name(),
            endpoints,
            topics,
        });
        open.record = record.clone();
        let (ttl, interval) = (settings.register_ttl, settings.register_interval);
        let registered = ready.registered();
        open.registration = Some(Registration::begin(registry, record, ttl, interval, registered).await);
        ready.started();
        open.hooks.after_start.run().await?;
        open.started = true;
        Ok(())
    }
    .await;
    if let Err(error) = opened {
        // The first error is the one to tell; a failure to close is its consequence.
        if let Err(error) = running.stop().await {
            tracing::debug!("closing after a failed start: {error}");
        }
        return Err(error);
    }
    Ok(running)
}
