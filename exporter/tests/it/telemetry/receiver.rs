//! A receiver of metrics and log messages on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What came, and whether it was taken.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_down: bool,
    refused: [usize; 2],
    metrics: Vec<(MetadataMap, ExportMetricsServiceRequest)>,
    logs: Vec<(MetadataMap, ExportLogsServiceRequest)>,
}

impl Receiver {
    /// Serves until the test's runtime ends.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let metrics = MetricsServiceServer::new(self.clone()).accept_compressed(Gzip);
        let logs = LogsServiceServer::new(self.clone()).accept_compressed(Gzip);
        let server = Server::builder().add_service(metrics).add_service(logs);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        at
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.0.lock().unwrap().is_down = is_down;
    }

    /// Requests that were refused: with metrics, and with log messages.
    pub(crate) fn refused(&self) -> [usize; 2] {
        self.0.lock().unwrap().refused
    }

    pub(crate) fn metrics(&self) -> Vec<(MetadataMap, ExportMetricsServiceRequest)> {
        self.0.lock().unwrap().metrics.clone()
    }

    pub(crate) fn logs(&self) -> Vec<(MetadataMap, ExportLogsServiceRequest)> {
        self.0.lock().unwrap().logs.clone()
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        if state.is_down {
            state.refused[0] += 1;
            return Err(Status::unavailable("down"));
        }
        state.metrics.push((request.metadata().clone(), request.into_inner()));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        if state.is_down {
            state.refused[1] += 1;
            return Err(Status::unavailable("down"));
        }
        state.logs.push((request.metadata().clone(), request.into_inner()));
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
