DROP TABLE server_losses;
