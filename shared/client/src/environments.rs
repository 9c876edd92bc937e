use api::trainer::{EnvironmentTurn, NewEnvironment, NewTurn, PlayedEnvironment};
use uuid::Uuid;

use crate::{ClientError, Trainer};

/// Environments to play. Every call fails with a [`ClientError`] that says whether trying again can help.
#[allow(clippy::missing_errors_doc)] // said once above
impl Trainer {
    /// `POST /v1/environments`.
    pub async fn create_environment(&self, new: &NewEnvironment) -> Result<PlayedEnvironment, ClientError> {
        self.connection.post(&["v1", "environments"]).json(new).large().answer().await
    }

    /// `GET /v1/environments/{id}`, with what is to be decided now.
    pub async fn environment(&self, id: Uuid) -> Result<PlayedEnvironment, ClientError> {
        self.connection.get(&["v1", "environments", &id.to_string()]).large().answer().await
    }

    /// `POST /v1/environments/{id}/turns`. With the turn's number it may be repeated: what was answered before is refused.
    pub async fn play_turn(&self, id: Uuid, turn: &NewTurn) -> Result<EnvironmentTurn, ClientError> {
        self.connection
            .post(&["v1", "environments", &id.to_string(), "turns"])
            .json(turn)
            .large()
            .answer()
            .await
    }

    /// `DELETE /v1/environments/{id}`.
    pub async fn delete_environment(&self, id: Uuid) -> Result<(), ClientError> {
        self.connection.delete(&["v1", "environments", &id.to_string()]).bytes().await.map(drop)
    }
}
