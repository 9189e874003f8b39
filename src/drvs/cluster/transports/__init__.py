"""How the bytes get there: tcp, udp, tipc and nats behind one interface (`carrier`), driven by one loop."""
