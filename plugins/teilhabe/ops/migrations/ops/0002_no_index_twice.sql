-- The tables of messages had each of these two indexes under another name as well (message_by_delivery, message_by_incident).
drop index ops.message_delivery_by_delivery;
drop index ops.message_incident_by_incident;
