alter table harvest_connection drop constraint harvest_connection_api_version_check;
alter table harvest_connection add constraint harvest_connection_api_version_check check (api_version in ('v3', 'v1'));
alter table harvest_connection alter column token_url drop not null;
comment on column harvest_connection.token_url is 'Address of the token route; null for Harvest v1, which has none';
comment on column harvest_connection.sealed_credential is 'JSON of client id and secret, or of the API key of Harvest v1, sealed under the account''s key';
comment on column harvest_connection.service_user_id is 'Greenhouse''s user that our writes are made as; null is the credential''s own account, which Harvest v1 does not have';
