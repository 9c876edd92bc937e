//! The connections of clients, and how long they live.

use std::time::Duration;

use client::{Endpoint, Remembrancer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

#[tokio::test]
async fn a_client_gives_a_connection_up_before_its_service_does() {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keep_alive = Duration::from_millis(1500);
    let endpoint = Endpoint::new(format!("http://{}", service.local_addr().unwrap()));
    let client = Remembrancer::new(Endpoint { keep_alive, ..endpoint }).unwrap();

    let served = tokio::spawn(async move {
        let (mut connection, _) = service.accept().await.unwrap();
        let mut request = [0; 4096];
        for _ in 0..2 {
            assert_ne!(
                connection.read(&mut request).await.unwrap(),
                0,
                "the connection ended between two calls"
            );
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
        let read = timeout(keep_alive, connection.read(&mut request)).await;
        read.expect("the client still had the connection when its service would have closed it").unwrap()
    });
    client.ready().await.unwrap();
    client.ready().await.unwrap();
    assert_eq!(served.await.unwrap(), 0, "a third call came");
}
