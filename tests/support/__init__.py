"""What tests share: real servers, real participants, clocks."""
